import pytest

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import plan
from autotricks.core.slots import Slot
from autotricks.errors import BundleError
from autotricks.trainer.pipeline import fold
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.sampler.instance import Instance
from autotricks.tricks.schedule.cosine import Cosine
from autotricks.tricks.schedule.lr_floor import LrFloor
from autotricks.tricks.schedule.warmup import Warmup
from tests.conftest import make_run


def test_below_the_floor_it_is_the_floor_and_above_it_the_schedule():
    schedule = LrFloor(fraction=0.01).schedule(lambda progress: 1 - progress, make_run())
    assert [schedule(progress) for progress in (0.0, 0.75, 0.99, 0.995, 1.0)] == pytest.approx(
        [1.0, 0.25, 0.01, 0.01, 0.01])


def test_it_lies_under_the_warm_up_too():
    uses = (Use(Cosine()), Use(Warmup(epochs=5.0)), Use(LrFloor(fraction=0.2)))
    once = plan(Bundle(uses), (Sgd(), Instance(), CrossEntropy())).once
    factor = fold(once, Slot.SCHEDULE, lambda progress: 1.0, make_run(epochs=10))
    assert factor(0.0) == 0.2  # the first of ten steps of warm-up alone has 0.1
    assert factor(0.2) == pytest.approx(0.5 * (1 + 0.8090169944) / 2)
    assert factor(0.95) == 0.2


def test_a_floor_above_the_base_rate_is_refused():
    with pytest.raises(BundleError, match=r"lr_floor\.fraction: 1\.5 is not allowed"):
        LrFloor(fraction=1.5)

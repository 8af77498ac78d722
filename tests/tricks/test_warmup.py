import math

import pytest

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError
from autotricks.tricks.schedule.cosine import Cosine
from autotricks.tricks.schedule.one_cycle import OneCycle
from autotricks.tricks.schedule.warmup import Warmup, warmup
from tests.conftest import make_run

EPOCHS, STEPS = 10, 20  # two steps an epoch


def whole(progress):
    return 1.0


def factors(trick, inner=whole):
    run = make_run(epochs=EPOCHS)
    assert run.steps == STEPS
    schedule = trick.schedule(inner, run)
    return [schedule(place / STEPS) for place in range(STEPS)]


def test_line_from_first_to_one():
    assert [warmup(step, 4, 0.2) for step in (0, 1, 2, 4, 9)] == pytest.approx([0.2, 0.4, 0.6, 1.0, 1.0])


def test_step_i_of_m_has_i_over_m():
    assert factors(Warmup(epochs=2.5)) == pytest.approx([0.2, 0.4, 0.6, 0.8] + [1.0] * 16)


def test_first_fraction_of_the_bag_of_tricks():
    ramp = factors(Warmup(epochs=2.0, first=1 / 3))
    assert ramp == pytest.approx([1 / 2, 2 / 3, 5 / 6] + [1.0] * 17)


@pytest.mark.parametrize("epochs", [0.0, 0.5])
def test_a_warm_up_of_one_step_or_none_changes_nothing(epochs):
    assert factors(Warmup(epochs=epochs)) == [1.0] * STEPS


def test_the_schedule_beneath_runs_at_true_progress():
    run = make_run(epochs=EPOCHS)
    ramped = factors(Warmup(epochs=2.0), Cosine().schedule(whole, run))
    cosine = [(1 + math.cos(math.pi * place / STEPS)) / 2 for place in range(STEPS)]
    assert ramped == pytest.approx([0.25 * cosine[0], 0.5 * cosine[1], 0.75 * cosine[2], *cosine[3:]])


def test_a_shorter_run_has_a_shorter_warm_up():
    use, = Bundle((Use(Warmup(epochs=4.5)),), epochs=27).rescaled(9).uses
    assert use.trick.epochs == pytest.approx(1.5)


def test_it_refuses_a_schedule_with_its_own_warm_up():
    line, = problems([Use(Warmup()), Use(OneCycle())])
    assert line.startswith("warmup excludes one_cycle, which provides cycles rate")


def test_negative_epochs_are_refused():
    with pytest.raises(BundleError, match=r"warmup\.epochs: -1 is not allowed"):
        Warmup(epochs=-1)

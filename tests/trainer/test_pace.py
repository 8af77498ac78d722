import pytest

from autotricks.core.objective import SPEED
from autotricks.trainer.pace import Pace
from autotricks.trial import run_trial
from tests.clock import Clock
from tests.trainer.made import EPOCHS, Noise, make_trainer


def test_the_first_epoch_counts_only_while_it_is_alone():
    pace = Pace()
    assert pace.images_per_second == 0
    pace.add(100, 50.0)
    assert pace.images_per_second == 2
    pace.add(100, 2.0)
    assert pace.images_per_second == 50
    pace.add(100, 3.0)
    assert pace.images_per_second == 40    # 200 images in 5 s


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("autotricks.trainer.trainer.time", CLOCK)


class Slow(Noise):
    """Wait a second a batch, and fifty in the first."""

    def augment(self, inner, run):
        def waited(images):
            CLOCK.sleep(50 if run.progress == 0 else 1)
            return inner(images)
        return waited


def test_speed_is_that_of_the_steps():
    """Sixteen images in a second and little more, and the long first epoch not counted."""
    trainer = make_trainer(Slow())
    for _ in trainer.epochs():
        pass
    assert 16 / 1.2 < trainer.figures[SPEED] < 16
    assert SPEED not in trainer.history[-1].values and len(trainer.history) == EPOCHS


def test_a_trial_has_its_speed(dataset):
    trainer = make_trainer(Slow())
    result = run_trial(trainer.plan.bundle, dataset)
    assert 16 / 1.2 < result.metrics[SPEED] < 16
    assert result.metrics["val/loss"] == result.history[-1].values["val/loss"]


def test_before_the_first_epoch_there_is_no_speed():
    assert make_trainer().figures == {}


import time

from autotricks.core.objective import SPEED
from autotricks.trainer.pace import Pace
from autotricks.trial import run_trial
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


class Slow(Noise):
    """Wait 10 ms a batch, and half a second in the first."""

    def augment(self, inner, run):
        def waited(images):
            time.sleep(0.5 if run.progress == 0 else 0.01)
            return inner(images)
        return waited


def test_speed_is_that_of_the_steps():
    """Sixteen images in at least 10 ms: at most 1,600 a second, and the half second of the first epoch not counted."""
    trainer = make_trainer(Slow())
    for _ in trainer.epochs():
        pass
    assert 16 / 0.06 < trainer.figures[SPEED] < 16 / 0.01
    assert SPEED not in trainer.history[-1].values and len(trainer.history) == EPOCHS


def test_a_trial_has_its_speed(dataset):
    trainer = make_trainer(Slow())
    result = run_trial(trainer.plan.bundle, dataset)
    assert 16 / 0.06 < result.metrics[SPEED] < 16 / 0.01
    assert result.metrics["val/loss"] == result.history[-1].values["val/loss"]


def test_before_the_first_epoch_there_is_no_speed():
    assert make_trainer().figures == {}


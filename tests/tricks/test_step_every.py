import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError
from autotricks.tricks.schedule.step_every import StepEvery, drops
from tests.conftest import make_run


def factors(trick, epochs, steps_per_epoch=4):
    run = make_run(counts=(steps_per_epoch,), batch_size=1, epochs=epochs)
    schedule = trick.schedule(lambda progress: 1.0, run)
    return [schedule(place / run.steps) for place in range(run.steps)]


@pytest.mark.parametrize(("epochs", "factor"), [(3.0, 0.1), (1.0, 0.94), (7.0, 0.5)])
def test_equals_torch_step_by_step(epochs, factor):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, round(4 * epochs), gamma=factor)
    expected = []
    for _ in range(80):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(StepEvery(epochs=epochs, factor=factor), 20) == pytest.approx(expected, rel=1e-9)


def test_a_drop_comes_with_the_first_step_at_or_after_it():
    # every 2.4 steps: 2.4, 4.8, 7.2, 9.6, 12
    found = factors(StepEvery(epochs=0.6, factor=0.5), 4)
    assert [place for place in range(1, 16) if found[place] < found[place - 1]] == [3, 5, 8, 10, 12, 15]
    assert found[10] == pytest.approx(0.5 ** 4)


def test_no_drop_is_late_by_a_rounding_error():
    for epochs in (0.1, 0.3, 0.7, 1.1, 2.3):
        assert [drops(time, time / 7) for time in (10 * epochs, 30 * epochs)] == [7, 7]
        assert [drops(round(10 * epochs * count), 10 * epochs) for count in range(30)] == list(range(30))


def test_many_drops_a_step():
    assert factors(StepEvery(epochs=0.125, factor=0.5), 1) == pytest.approx([1, 1 / 4, 1 / 16, 1 / 64])


def test_a_shorter_run_has_as_many_drops():
    short = Bundle((Use(StepEvery(epochs=6.0)),), epochs=24).rescaled(8).uses[0].trick
    assert factors(StepEvery(epochs=6.0), 24)[::3] == pytest.approx(factors(short, 8))


def test_drops_every_no_epochs_are_refused():
    with pytest.raises(BundleError, match=r"step_every\.epochs: 0\.0 is not allowed; epochs must be > 0 \(epochs\)"):
        StepEvery(epochs=0.0)

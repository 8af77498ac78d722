import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.schedule.step import Step, step
from tests.conftest import make_run


def whole(progress):
    return 1.0


def run_of(steps):
    return make_run(counts=(6,), batch_size=6, epochs=steps)


def factors(trick, steps):
    schedule = trick.schedule(whole, run_of(steps))
    return [schedule(place / steps) for place in range(steps)]


def test_each_milestone_multiplies_once():
    assert [step(progress, (0.5, 0.75), 0.1) for progress in (0.0, 0.49, 0.5, 0.74, 0.75, 1.0)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("steps", [200, 1000])
def test_equals_torch_at_160_and_180_of_200(steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [steps * 160 // 200, steps * 180 // 200], gamma=0.01)
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert factors(Step(), steps) == pytest.approx(expected, rel=1e-12)


def test_milestones_fall_on_the_steps_at_which_windows_open():
    for steps in range(1, 60):
        drop = factors(Step(first=0.85, second=1.0, factor=0.1), steps)
        opened = round(0.85 * steps)  # as the trainer rounds window edges
        assert drop == pytest.approx([1.0] * opened + [0.1] * (steps - opened))


def test_order_of_milestones_does_not_matter():
    assert factors(Step(first=0.9, second=0.6), 40) == factors(Step(first=0.6, second=0.9), 40)


def test_it_multiplies_what_it_wraps():
    schedule = Step(first=0.5, factor=0.1).schedule(lambda progress: 3.0 * progress, run_of(10))
    assert schedule(0.2) == pytest.approx(0.6)
    assert schedule(0.6) == pytest.approx(0.18)


def test_a_milestone_beyond_the_end_is_refused():
    with pytest.raises(BundleError, match=r"step\.first: 1\.5 is not allowed"):
        Step(first=1.5)

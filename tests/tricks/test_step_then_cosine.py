import math

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.schedule.step_then_cosine import StepThenCosine
from tests.conftest import make_run


def factors(trick, steps):
    schedule = trick.schedule(lambda progress: 1.0, make_run(counts=(6,), batch_size=6, epochs=steps))
    return [schedule(place / steps) for place in range(steps)]


@pytest.mark.parametrize("steps", [40, 400])
def test_equals_the_two_schedulers_of_torch_one_after_the_other(steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    first = torch.optim.lr_scheduler.MultiStepLR(optimizer, [steps // 4], gamma=0.2)
    expected = []
    for place in range(steps):
        if place == steps // 2:
            second = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps // 2, eta_min=0.01)
            second.base_lrs = [0.2]
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        (first if place < steps // 2 else second).step()
    assert factors(StepThenCosine(factor=0.2, final=0.01), steps) == pytest.approx(expected, rel=1e-9)


def test_by_hand():
    found = factors(StepThenCosine(drop=0.2, switch=0.6, factor=0.5, final=0.0), 10)
    half = [0.5 * (1 + math.cos(math.pi * share)) / 2 for share in (0, 0.25, 0.5, 0.75)]
    assert found == pytest.approx([1, 1, 0.5, 0.5, 0.5, 0.5, *half])


def test_without_a_first_part_it_is_the_cosine_from_the_factor():
    found = factors(StepThenCosine(drop=0.3, switch=0.0, factor=1.0), 8)
    assert found == pytest.approx([(1 + math.cos(math.pi * place / 8)) / 2 for place in range(8)])


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_it_never_rises(factor):
    for final in (0.0, 0.3):
        found = factors(StepThenCosine(drop=0.4, switch=0.3, factor=factor, final=final), 50)
        assert found == sorted(found, reverse=True)
        assert found[-1] >= min(final, factor)


def test_moments_fall_on_the_steps_at_which_windows_open():
    for steps in range(2, 40):
        found = factors(StepThenCosine(drop=0.25, switch=0.5, factor=0.1), steps)
        drop = round(0.25 * steps)
        assert found[:drop] == [1.0] * drop and found[drop] == pytest.approx(0.1)


def test_a_switch_at_the_end_is_refused():
    with pytest.raises(BundleError, match=r"step_then_cosine\.switch: 1\.0 is not allowed"):
        StepThenCosine(switch=1.0)

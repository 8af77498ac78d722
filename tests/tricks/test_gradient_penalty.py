import pytest
import torch

from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.tricks.gradients.gradient_penalty import GradientPenalty, curved
from tests.core.slopes import CURVATURE, START, taken


def test_is_the_gradient_of_the_penalized_loss_on_a_quadratic():
    run, loss = taken(GradientPenalty(weight=0.2))
    point = START.clone().requires_grad_()
    slope = CURVATURE @ point
    (point @ slope / 2 + 0.2 * slope.square().sum()).backward()
    assert torch.allclose(run.model.slope, point.grad, rtol=1e-8)
    assert loss.item() == pytest.approx(float(START @ CURVATURE @ START) / 2)
    assert torch.equal(run.model.point, START) and run.model.passes == 1


def test_a_step_down_and_one_up_move_against_the_penalty():
    """Barrett and Dherin: down and up by lr moves by -lr^2 / 2 times the gradient of |gradient|^2."""
    rate = 0.05
    below = START - rate * CURVATURE @ START
    moved = below + rate * CURVATURE @ below - START
    run, _ = taken(GradientPenalty(weight=rate ** 2 / 2))
    assert torch.allclose(run.model.slope - CURVATURE @ START, -moved, rtol=1e-8)


def test_without_weight_it_is_the_gradient_itself():
    run, _ = taken(GradientPenalty(weight=0.0))
    assert torch.equal(run.model.slope, CURVATURE @ START)


def test_by_hand_over_several_tensors():
    # |g| = 5; changes (0.02, 0) and (0.01); 2 * 0.1 / 0.01 * 5 = 100
    first, second = curved([torch.tensor([3.0, 4.0]), torch.tensor([0.0])],
                           [torch.tensor([3.02, 4.0]), torch.tensor([0.01])], 0.1)
    assert first.tolist() == pytest.approx([5.0, 4.0], abs=1e-4) and second.tolist() == pytest.approx([1.0])


def test_refuses_a_loss_scaler_and_a_reward():
    assert Trait.LOSS_SCALER in GradientPenalty.excludes
    with pytest.raises(BundleError, match=r"gradient_penalty\.weight: -0\.1 is not allowed; weight must be >= 0"):
        GradientPenalty(weight=-0.1)

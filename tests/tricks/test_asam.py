import pytest
import torch

from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.tricks.gradients.asam import Asam, adaptive
from tests.core.slopes import CURVATURE, START, taken


def test_the_offset_by_hand():
    # |w| g = (6, 8), of length 10; w^2 g = (12, 32)
    left, right = adaptive([torch.tensor([-2.0]), torch.tensor([4.0])], [torch.tensor([3.0]), torch.tensor([2.0])], 0.5)
    assert left.tolist() == pytest.approx([0.6]) and right.tolist() == pytest.approx([1.6])


def test_the_gradient_is_that_at_the_worst_point_of_a_quadratic():
    run, loss = taken(Asam(rho=0.7))
    slope = CURVATURE @ START
    worst = START + 0.7 * START ** 2 * slope / (START.abs() * slope).norm()
    assert torch.allclose(run.model.slope, CURVATURE @ worst)
    assert torch.equal(run.model.point, START) and run.model.passes == 1
    assert loss.item() == pytest.approx(float(START @ slope) / 2)


@pytest.mark.parametrize("rho", [0.2, 2.0])
def test_the_length_is_counted_in_weights(rho):
    run, _ = taken(Asam(rho=rho))
    assert ((run.model.seen[1] - START) / START).norm().item() == pytest.approx(rho)


def test_layers_scaled_against_one_another_move_alike():
    """Relu(a x) b is the same function as relu(k a x) b / k: the worst point must be the same function too."""
    images, aims = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.ones(20, 1)
    first, second = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), torch.linspace(-1, 1, 5)[None]

    def worst(scale, step):
        weights = [(first * scale).requires_grad_(), (second / scale).requires_grad_()]
        (((images @ weights[0].T).relu() @ weights[1].T - aims) ** 2).mean().backward()
        moves = step([weight.detach() for weight in weights], [weight.grad for weight in weights])
        (left, right) = (weight.detach() + move for weight, move in zip(weights, moves, strict=True))
        return (images @ left.T).relu() @ right.T

    def ball(weights, gradients):
        length = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        return [0.5 * gradient / length for gradient in gradients]

    assert torch.allclose(worst(1.0, lambda w, g: adaptive(w, g, 0.5)), worst(8.0, lambda w, g: adaptive(w, g, 0.5)),
                          atol=1e-4)
    assert (worst(1.0, ball) - worst(8.0, ball)).abs().max() > 0.1  # which the ball of SAM is not


def test_agrees_with_pytorch_optimizer():
    from pytorch_optimizer import SAM
    run, _ = taken(Asam(rho=0.4))
    mine = run.model.seen[1]
    run, _ = taken(Asam(rho=0.4))
    weights = [run.model.first, run.model.second]
    run.model.zero_grad()
    run.model.loss().backward()
    SAM(weights, torch.optim.SGD, rho=0.4, adaptive=True, lr=0.1).first_step()
    assert torch.allclose(run.model.point, mine, rtol=1e-6)


def test_refuses_a_loss_scaler_and_a_radius_of_zero():
    assert Trait.LOSS_SCALER in Asam.excludes
    with pytest.raises(BundleError, match=r"asam\.rho: 0\.0 is not allowed; rho must be > 0"):
        Asam(rho=0.0)

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.optimizer.adamw import Adamw
from tests.conftest import make_run

BUILD = None


def stepped(trick, weight, gradients, factor=1.0):
    weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float64))
    optimizer = trick.optimizer(BUILD, make_run())([{"params": [weight]}])
    optimizer.param_groups[0]["lr"] *= factor
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return weight.detach()


def test_without_gradient_weights_shrink_geometrically():
    end = stepped(Adamw(lr=0.01, weight_decay=0.1), [1.0, -50.0], [[0.0, 0.0]] * 5)
    assert torch.allclose(end, torch.tensor([1.0, -50.0], dtype=torch.float64) * 0.999 ** 5, rtol=1e-12)


def test_constant_gradient_adds_a_step_of_the_rate_to_the_decay():
    # w = 2 * (1 - lr * wd) - lr, the decay being untouched by the size of the gradient.
    end = stepped(Adamw(lr=0.01, weight_decay=0.1), [2.0, 2.0], [[3.0, 300.0]])
    assert torch.allclose(end, torch.full((2,), 2 * 0.999 - 0.01, dtype=torch.float64), atol=1e-9)


def test_decay_follows_the_schedule():
    assert stepped(Adamw(lr=0.01, weight_decay=0.1), [1.0], [[0.0]], factor=0.5).item() == pytest.approx(0.9995)


def test_negative_decay_is_refused():
    with pytest.raises(BundleError, match=r"adamw\.weight_decay: -0\.1 is not allowed"):
        Adamw(weight_decay=-0.1)

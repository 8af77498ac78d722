import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.optimizer.adam import Adam
from tests.conftest import make_run

BUILD = None


def stepped(trick, weight, gradients):
    weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float64))
    optimizer = trick.optimizer(BUILD, make_run())([{"params": [weight]}])
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return weight.detach()


def test_constant_gradient_moves_each_weight_by_the_rate():
    # With a constant gradient both corrected moments are the gradient and its square: each step is lr * sign(g).
    end = stepped(Adam(lr=0.01), [1.0, 1.0], [[5.0, -0.2]] * 3)
    assert torch.allclose(end, torch.tensor([0.97, 1.03], dtype=torch.float64), atol=1e-8)


def test_two_different_gradients_by_hand():
    # m = .1 * 1, v = .001 * 1; then m = .9 * .1 + .1 * 2 = .29, v = .999 * .001 + .001 * 4 = .004999.
    second = 0.01 * (0.29 / 0.19) / ((0.004999 / 0.001999) ** 0.5)
    assert stepped(Adam(lr=0.01), [0.0], [[1.0], [2.0]]).item() == pytest.approx(-0.01 - second, abs=1e-9)


def test_decay_is_l2_and_so_does_not_depend_on_the_size_of_the_weight():
    end = stepped(Adam(lr=0.01, weight_decay=0.1), [1.0, 50.0], [[0.0, 0.0]])
    assert torch.allclose(end, torch.tensor([0.99, 49.99], dtype=torch.float64), atol=1e-8)


def test_rate_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"adam\.lr: 0 is not allowed"):
        Adam(lr=0)

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_run


def stepped(trick, weight, gradients):
    weight = torch.nn.Parameter(torch.tensor([weight], dtype=torch.float64))
    optimizer = trick.optimizer(None, make_run())([{"params": [weight]}])
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    return weight.item()


@pytest.mark.parametrize(("nesterov", "moved"), [
    (False, 1.0 + (0.9 * 1.0 + 2.0)),                       # v: 1, 2.9
    (True, (1.0 + 0.9 * 1.0) + (2.0 + 0.9 * 2.9))])         # g + .9 v at each
def test_two_steps_by_hand(nesterov, moved):
    trick = Sgd(lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.0)
    assert stepped(trick, 5.0, [1.0, 2.0]) == pytest.approx(5.0 - 0.1 * moved, rel=1e-12)


def test_decay_shrinks_a_weight_without_a_gradient():
    assert stepped(Sgd(lr=0.5, momentum=0.0, weight_decay=0.1), 2.0, [0.0, 0.0]) == pytest.approx(2 * 0.95**2)


def test_without_momentum_nesterov_is_plain():
    assert stepped(Sgd(lr=0.1, momentum=0.0, nesterov=True, weight_decay=0.0), 0.0, [3.0]) == pytest.approx(-0.3)


def test_refuses_a_momentum_of_one():
    with pytest.raises(BundleError, match=r"sgd\.momentum: 1\.0 is not allowed"):
        Sgd(momentum=1.0)

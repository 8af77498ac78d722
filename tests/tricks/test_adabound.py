import ast
import inspect
import math

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.optimizer import adabound
from autotricks.tricks.optimizer.adabound import Adabound
from tests.conftest import make_run, reloaded

BUILD = None
RATE, FINAL, GAMMA, DECAY = 0.01, 0.1, 0.05, 0.02


def closed_form(start, gradients, factors, amsbound=False):
    """The authors' update for one weight, written out in Python floats."""
    weight, mean, square, largest, path = start, 0.0, 0.0, 0.0, []
    for t, (gradient, factor) in enumerate(zip(gradients, factors, strict=True), start=1):
        gradient += DECAY * weight
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient ** 2
        largest = max(largest, square)
        final = FINAL * factor
        size = RATE * factor * math.sqrt(1 - 0.999 ** t) / (1 - 0.9 ** t) / (
            math.sqrt(largest if amsbound else square) + 1e-8)
        size = min(max(size, final * (1 - 1 / (GAMMA * t + 1))), final * (1 + 1 / (GAMMA * t)))
        weight -= size * mean
        path.append(weight)
    return path


def built(weight, **values):
    values = {"lr": RATE, "final_lr": FINAL, "gamma": GAMMA, "weight_decay": DECAY, **values}
    return Adabound(**values).optimizer(BUILD, make_run())([{"params": [weight]}])


def trained(optimizer, weight, gradients, factors):
    path = []
    for gradient, factor in zip(gradients, factors, strict=True):
        optimizer.param_groups[0]["lr"] = RATE * factor
        weight.grad = gradient.clone()
        optimizer.step()
        path.append(weight.detach().clone())
    return path


def fresh():
    return torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64))


# Gradients of very different sizes, so that both bounds and neither of them are hit.
GRADIENTS = [torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
             * torch.tensor([1e-3, 0.3, 30.0], dtype=torch.float64) for seed in range(60)]
FACTORS = [1.0] * 20 + [0.1] * 20 + [0.7] * 20


@pytest.mark.parametrize("amsbound", [False, True])
def test_equals_the_closed_form_under_a_schedule(amsbound):
    weight = fresh()
    path = trained(built(weight, amsbound=amsbound), weight, GRADIENTS, FACTORS)
    for place in range(3):
        expected = closed_form(fresh()[place].item(), [g[place].item() for g in GRADIENTS], FACTORS, amsbound)
        assert [point[place].item() for point in path] == pytest.approx(expected, rel=1e-6)


def test_amsbound_differs_once_gradients_have_fallen():
    falling = [torch.full((3,), size, dtype=torch.float64) for size in [50.0] * 5 + [0.01] * 55]
    ends = []
    for amsbound in (False, True):
        weight = fresh()
        ends.append(trained(built(weight, amsbound=amsbound, final_lr=1e-6), weight, falling, FACTORS)[-1])
    bounded, ams = ends
    assert torch.equal(bounded, ams)  # far outside the bounds both step at the bound alone
    ends = []
    for amsbound in (False, True):
        weight = fresh()
        ends.append(trained(built(weight, amsbound=amsbound, gamma=1e-6), weight, falling, FACTORS)[-1])
    assert (ends[0] < ends[1]).all()


def test_late_in_training_it_is_sgd_with_momentum_at_the_final_rate():
    weight, gradient = fresh(), torch.tensor([1e-3, 0.3, 30.0], dtype=torch.float64)
    path = trained(built(weight, gamma=1.0, weight_decay=0.0), weight, [gradient] * 400, [1.0] * 400)
    assert torch.allclose(path[-2] - path[-1], FINAL * gradient, rtol=0.003)


def test_resume_keeps_the_final_rate_in_proportion_to_the_schedule():
    whole = fresh()
    expected = trained(built(whole), whole, GRADIENTS, FACTORS)[-1]
    first, second = fresh(), fresh()
    before = built(first)
    trained(before, first, GRADIENTS[:30], FACTORS[:30])  # stops while the rate is a tenth of its base
    second.data.copy_(first.data)
    after = reloaded(before, built(second))
    assert torch.equal(trained(after, second, GRADIENTS[30:], FACTORS[30:])[-1], expected)


def test_a_rate_of_zero_moves_nothing_and_breaks_nothing():
    weight = fresh()
    path = trained(built(weight), weight, GRADIENTS[:3], [0.0, 0.0, 1.0])
    assert torch.equal(path[1], fresh().detach())
    assert path[2].isfinite().all() and not torch.equal(path[2], path[1])


def test_the_library_is_imported_only_by_those_who_train_with_it():
    tree = ast.parse(inspect.getsource(adabound))
    names = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    assert "torch" in names and "pytorch_optimizer" not in names


def test_gamma_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"adabound\.gamma: 0 is not allowed"):
        Adabound(gamma=0)

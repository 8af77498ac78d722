import math

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.optimizer.lamb import Lamb
from tests.conftest import make_run, reloaded

BUILD = None
RATE, DECAY = 0.01, 0.1
GRADIENTS = [[0.3, -0.4], [0.0, 0.6], [3.0, 4.0], [-0.2, 0.1]]     # the third is longer than 1
START = [2.0, -1.0]


def closed_form(weight, gradients, decay=DECAY, rate=RATE):
    """The update of a tensor that is alone, written out in Python floats."""
    mean, square = [0.0] * len(weight), [0.0] * len(weight)
    for t, gradient in enumerate(gradients, start=1):
        length = max(1.0, math.hypot(*gradient))
        gradient = [g / length for g in gradient]
        mean = [0.9 * m + 0.1 * g for m, g in zip(mean, gradient, strict=True)]
        square = [0.999 * s + 0.001 * g * g for s, g in zip(square, gradient, strict=True)]
        step = [(m / (1 - 0.9 ** t)) / (math.sqrt(s / (1 - 0.999 ** t)) + 1e-6) + decay * w
                for m, s, w in zip(mean, square, weight, strict=True)]
        ratio = math.hypot(*weight) / math.hypot(*step) if decay else 1.0
        weight = [w - rate * ratio * u for w, u in zip(weight, step, strict=True)]
    return weight


def built(*weights, **values):
    values = {"lr": RATE, "weight_decay": DECAY, **values}
    return Lamb(**values).optimizer(BUILD, make_run())([{"params": [weight]} for weight in weights])


def fresh(values=START):
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def trained(optimizer, weight, gradients):
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    return weight.tolist()


@pytest.mark.parametrize("decay", [DECAY, 0.0])
def test_equals_the_closed_form(decay):
    weight = fresh()
    assert trained(built(weight, weight_decay=decay), weight, GRADIENTS) == pytest.approx(
        closed_form(START, GRADIENTS, decay), rel=1e-9)


@pytest.mark.parametrize("size", [1e-3, 0.1, 50.0])
def test_a_step_is_the_rate_times_the_length_of_the_weights(size):
    weight = fresh()
    end = trained(built(weight), weight, [[size, -size]])
    assert math.dist(end, START) == pytest.approx(RATE * math.hypot(*START))


def test_lengths_are_those_of_each_tensor_and_clipping_is_that_of_all():
    one, other = fresh(), fresh([20.0, 0.0])
    optimizer = built(one, other)
    one.grad, other.grad = (torch.tensor(g, dtype=torch.float64) for g in ([3.0, 0.0], [0.0, 4.0]))
    optimizer.step()
    assert torch.dist(other, fresh([20.0, 0.0])).item() == pytest.approx(RATE * 20)
    assert optimizer.state[one]["exp_avg"].tolist() == pytest.approx([0.1 * 3 / 5, 0.0])


def test_a_resumed_run_goes_on_where_it_was():
    whole, first, second = fresh(), fresh(), fresh()
    expected = trained(built(whole), whole, GRADIENTS)
    before = built(first)
    trained(before, first, GRADIENTS[:2])
    second.data.copy_(first.data)
    after = reloaded(before, built(second))
    assert trained(after, second, GRADIENTS[2:]) == expected


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(BundleError, match=r"lamb\.lr: 0 is not allowed; lr must be > 0 \(share of the weights a step"):
        Lamb(lr=0)

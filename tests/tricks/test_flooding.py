import pytest
import torch

from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.flooding import Flooding, flooded
from tests.conftest import make_batch, make_run

LOSSES = torch.tensor([.1, .2, .6])  # mean .3


@pytest.mark.parametrize(("level", "mean"), [(0.0, .3), (0.1, .3), (0.3, .3), (0.5, .7), (1.0, 1.7)])
def test_the_mean_is_mirrored_at_the_level(level, mean):
    assert float(flooded(LOSSES, level).mean()) == pytest.approx(mean)


def test_above_the_level_nothing_changes():
    assert torch.allclose(flooded(LOSSES, 0.1), LOSSES)


@pytest.mark.parametrize(("level", "sign"), [(0.0, 1), (0.2, 1), (2.0, -1)])
def test_below_the_level_the_step_goes_uphill(level, sign):
    run, batch = make_run(), make_batch([0, 1, 2, 0])

    def gradient(loss):
        value = backward(loss, run)(batch)
        return float(value), run.model[1].weight.grad.clone()
    plain = CrossEntropy().loss(None, run)
    mean, slope = gradient(plain)
    assert 0.2 < mean < 2
    held, turned = gradient(Flooding(level).loss(plain, run))
    assert held == pytest.approx(abs(mean - level) + level)
    assert torch.allclose(turned, sign * slope, atol=1e-7)


def test_one_step_down_and_one_up_descend_the_square_of_the_gradient():
    """Around the level, on w^T A w / 2: w - lr g, then + lr g there, is w - lr^2 A g up to rounding."""
    matrix, rate = torch.tensor([[2., .5], [.5, 1.]], dtype=torch.float64), 0.1
    start = torch.tensor([1., -2.], dtype=torch.float64)
    place, level = start, float(start @ matrix @ start / 2) - 1e-6
    for _ in range(2):
        place = place.detach().requires_grad_()
        value = flooded((place @ matrix @ place / 2).unsqueeze(0), level).mean()
        place = place - rate * torch.autograd.grad(value, place)[0]
    assert torch.allclose(place, start - rate ** 2 * matrix @ matrix @ start)


def test_refuses_a_negative_level():
    with pytest.raises(BundleError, match=r"flooding\.level: -0\.1 is not allowed; level must be >= 0"):
        Flooding(-0.1)

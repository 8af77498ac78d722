import pytest
import torch
from torch import nn

from autotricks.errors import BundleError
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from tests.conftest import make_batch, make_run


def clipped(max_norm, *gradients, device="cpu"):
    """The gradients that clipping leaves of the given ones, and the loss it returns."""
    run = make_run()
    run.model = nn.ParameterList([nn.Parameter(torch.zeros(len(g), device=device)) for g in gradients])

    def filled(batch):
        for weight, gradient in zip(run.model, gradients, strict=True):
            weight.grad = torch.tensor(gradient, device=device)
        return torch.tensor(7.0)

    loss = GradientClipping(max_norm=max_norm).gradients(filled, run)(make_batch([0, 1]))
    return [weight.grad for weight in run.model], loss


def test_a_long_gradient_is_scaled_as_a_whole():
    (left, right), loss = clipped(6.5, [3.0, 4.0], [12.0])  # length 13
    assert torch.allclose(left, torch.tensor([1.5, 2.0])) and torch.allclose(right, torch.tensor([6.0]))
    assert loss.item() == 7.0


def test_a_short_gradient_is_left_as_it_is():
    (left, right), _ = clipped(13.1, [3.0, 4.0], [12.0])
    assert left.tolist() == [3.0, 4.0] and right.tolist() == [12.0]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_what_is_left_is_no_longer_than_the_maximum(scale):
    values = (torch.randn(50, generator=torch.Generator().manual_seed(0)) * scale).tolist()
    (left, right), _ = clipped(0.5, values[:20], values[20:])
    before, after = torch.tensor(values), torch.cat([left, right])
    assert after.norm() <= 0.5 + 1e-6
    assert torch.cosine_similarity(before, after, dim=0).item() == pytest.approx(1.0, abs=1e-6)


def test_the_device_is_not_waited_for():
    # A tensor on the meta device has no value: reading one would raise.
    (left, _), _ = clipped(1.0, [3.0, 4.0], [12.0], device="meta")
    assert left.device.type == "meta"


def test_a_length_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"gradient_clipping\.max_norm: 0\.0 is not allowed"):
        GradientClipping(max_norm=0.0)

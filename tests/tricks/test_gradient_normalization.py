import pytest
import torch
from torch import nn

from autotricks.core.bundle import Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.gradients.gradient_normalization import GradientNormalization, normalized
from tests.conftest import make_batch, make_run

GRADIENTS = [torch.tensor([3.0, 4.0]), torch.tensor([12.0])]


def unit(by, gradients):
    """The gradients that normalization leaves of the given ones; None is a weight without gradient."""
    run = make_run()
    run.model = nn.ParameterList([nn.Parameter(torch.zeros(1 if g is None else g.shape)) for g in gradients])

    def filled(batch):
        for weight, gradient in zip(run.model, gradients, strict=True):
            weight.grad = None if gradient is None else gradient.clone()
        return torch.tensor(7.0)

    assert GradientNormalization(by=by).gradients(filled, run)(make_batch([0])).item() == 7.0
    return [weight.grad for weight in run.model]


def test_together_they_are_one_long():
    left, none, right = unit("global", [GRADIENTS[0], None, GRADIENTS[1]])
    assert left.tolist() == pytest.approx([3 / 13, 4 / 13]) and right.tolist() == pytest.approx([12 / 13])
    assert none is None


def test_each_tensor_is_one_long():
    left, right = unit("tensor", GRADIENTS)
    assert left.tolist() == pytest.approx([0.6, 0.8]) and right.tolist() == pytest.approx([1.0])


def test_each_tensor_has_deviation_one_and_small_ones_stay():
    long, short = unit("deviation", [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([5.0, 9.0])])
    assert long.tolist() == pytest.approx([1.0, 2.0, 3.0]) and short.tolist() == [5.0, 9.0]
    wide = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)) * 30 + 4
    assert unit("deviation", [wide])[0].std().item() == pytest.approx(1.0)


def test_deviation_is_that_of_pytorch_optimizer():
    from pytorch_optimizer.optimizer.utils.gradient import normalize_gradient
    gradients = [torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([1.0, 2.0])]
    found = normalized(gradients, "deviation")
    for gradient, ours in zip(gradients, found, strict=True):
        theirs = gradient.clone()
        normalize_gradient(theirs)
        assert torch.allclose(ours, theirs)


@pytest.mark.parametrize("by", ["global", "tensor", "deviation"])
def test_how_steep_the_loss_is_does_not_matter(by):
    steep = [torch.randn(5, 2, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    for scale in (1e-3, 1e5):
        for left, right in zip(normalized(steep, by), normalized([scale * g for g in steep], by), strict=True):
            assert torch.allclose(left, right, rtol=1e-4)


@pytest.mark.parametrize("by", ["global", "tensor", "deviation"])
def test_a_gradient_of_zero_stays(by):
    assert unit(by, [torch.zeros(4)])[0].tolist() == [0, 0, 0, 0]


def test_there_is_nothing_left_to_clip():
    assert "both take gradients.clip" in problems([Use(GradientNormalization()), Use(GradientClipping())])[0]


def test_another_word_is_refused():
    with pytest.raises(BundleError, match=r"gradient_normalization\.by: 'layer' is not allowed; by must be global or"):
        GradientNormalization(by="layer")

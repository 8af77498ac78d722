import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.class_weights import ClassWeights, class_weights
from autotricks.tricks.loss.focal import Focal
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.loss.sigmoid_focal import SigmoidFocal, sigmoid_focal
from tests.conftest import make_batch

LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(3)) * 3


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_equals_torchvision_without_alpha(run, gamma):
    found = SigmoidFocal(gamma).loss(None, run)(LOGITS, make_batch(LABELS))
    expected = sigmoid_focal_loss(LOGITS, F.one_hot(LABELS, 3).float(), alpha=-1, gamma=gamma, reduction="none").sum(1)
    assert torch.allclose(found, expected, atol=1e-6)


def test_by_hand():
    # p = 3/4 for both classes: yes costs (1/4)^2 log(4/3), no costs (3/4)^2 log 4
    found = sigmoid_focal(torch.tensor([[math.log(3), math.log(3)]]), torch.tensor([[1]]), 2.0)
    assert float(found) == pytest.approx(math.log(4 / 3) / 16 + 9 * math.log(4) / 16)


def test_a_mixture_is_the_sum_of_its_parts(run):
    loss, plain = SigmoidFocal().loss(None, run), make_batch([0, 1])
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = loss(LOGITS[:2], plain), loss(LOGITS[:2], make_batch([2, 0]))
    assert torch.allclose(loss(LOGITS[:2], mixed), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


def test_without_focus_smoothing_is_binary_cross_entropy_against_soft_targets(run):
    found = LabelSmoothing(0.3).loss(SigmoidFocal(0.0).loss(None, run), run)(LOGITS, make_batch(LABELS))
    soft = 0.7 * F.one_hot(LABELS, 3) + 0.1
    expected = F.binary_cross_entropy_with_logits(LOGITS, soft, reduction="none").sum(1)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_far_logits_keep_the_gradient_finite(gamma):
    logits = torch.tensor([[200., -200.], [-200., 200.]], requires_grad=True)
    sigmoid_focal(logits, torch.tensor([[0], [0]]), gamma).sum().backward()
    assert torch.allclose(logits.grad, torch.tensor([[0., 0.], [-1., 1.]]))


@pytest.mark.parametrize("base", [SigmoidFocal, Focal])
def test_class_balanced_focal_is_the_product_of_weight_and_focal(run, base):
    """Cui et al.: sum over samples of (1 - beta) / (1 - beta^n) * focal, here over the batch's total weight."""
    beta, gamma, batch = 0.9, 1.0, make_batch(LABELS)
    found = ClassWeights(beta).loss(base(gamma).loss(None, run), run)(LOGITS, batch).mean()
    if base is SigmoidFocal:
        one_hot = F.one_hot(LABELS, 3).float()
        focal = sigmoid_focal_loss(LOGITS, one_hot, alpha=-1, gamma=gamma, reduction="none").sum(1)
    else:
        right = LOGITS.softmax(1)[range(5), LABELS]
        focal = -(1 - right) ** gamma * right.log()
    weight = torch.tensor([(1 - beta) / (1 - beta ** n) for n in (6, 3, 1)])[LABELS]
    assert torch.allclose(weight / weight.sum(), class_weights(run.counts, beta)[LABELS] / class_weights(
        run.counts, beta)[LABELS].sum())
    assert float(found) == pytest.approx(float((weight * focal).sum() / weight.sum()), rel=1e-5)


def test_refuses_a_negative_gamma():
    with pytest.raises(BundleError, match=r"sigmoid_focal\.gamma: -1\.0 is not allowed; gamma must be >= 0"):
        SigmoidFocal(-1.0)

import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.focal_joint import FocalJoint, focal_joint
from tests.conftest import make_batch

LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(3)) * 3


def test_by_hand():
    # p = 1/4: log 4 + 1/2 * (3/4)^2 * log 4
    found = focal_joint(torch.tensor([[0., math.log(3)]]), torch.tensor([[0]]), 0.5, 2.0)
    assert float(found) == pytest.approx(math.log(4) * (1 + 9 / 32))


@pytest.mark.parametrize(("weight", "gamma", "factor"), [(0.0, 2.0, 1.0), (0.7, 0.0, 1.7)])
def test_limits_are_multiples_of_cross_entropy(run, weight, gamma, factor):
    found = FocalJoint(weight, gamma).loss(None, run)(LOGITS, make_batch(LABELS))
    assert torch.allclose(found, factor * F.cross_entropy(LOGITS, LABELS, reduction="none"), rtol=1e-5)


def test_is_cross_entropy_plus_the_weighted_focal_loss_of_probabilities(run):
    found = FocalJoint(0.3, 1.5).loss(None, run)(LOGITS, make_batch(LABELS))
    right = LOGITS.double().softmax(1)[range(5), LABELS]
    assert torch.allclose(found.double(), -right.log() - 0.3 * (1 - right) ** 1.5 * right.log(), rtol=1e-5)


def test_a_mixture_is_the_sum_of_its_parts(run):
    loss, plain = FocalJoint().loss(None, run), make_batch([0, 1])
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = loss(LOGITS[:2], plain), loss(LOGITS[:2], make_batch([2, 0]))
    assert torch.allclose(loss(LOGITS[:2], mixed), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


def test_a_sure_sample_keeps_the_gradient_finite():
    logits = torch.tensor([[200., 0.]], requires_grad=True)
    focal_joint(logits, torch.tensor([[0]]), 0.5, 0.5).sum().backward()
    assert logits.grad.tolist() == [[0, 0]]


def test_refuses_a_negative_weight():
    with pytest.raises(BundleError, match=r"focal_joint\.weight: -0\.1 is not allowed; weight must be >= 0"):
        FocalJoint(weight=-0.1)

import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.focal import Focal
from autotricks.tricks.loss.label_smoothing import LabelSmoothing, smoothed
from tests.conftest import make_batch

LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))


def test_adds_a_label_for_each_class_and_keeps_the_old_ones():
    batch = make_batch([2])
    found = smoothed(batch, 3, 0.3)
    assert found.targets.labels.tolist() == [[2, 0, 1, 2]]
    assert found.targets.shares[0].tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert found.whole is batch


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.5])
def test_equals_torch(run, epsilon):
    found = LabelSmoothing(epsilon).loss(CrossEntropy().loss(None, run), run)(LOGITS, make_batch(LABELS))
    assert torch.allclose(found, F.cross_entropy(LOGITS, LABELS, reduction="none", label_smoothing=epsilon), atol=1e-6)


def test_the_best_logits_lie_log_of_c_times_one_minus_epsilon_over_epsilon_plus_one_apart(run):
    gap = math.log(3 * (1 - 0.1) / 0.1 + 1)
    logits = torch.tensor([[gap, 0.0, 0.0]], requires_grad=True)
    LabelSmoothing(0.1).loss(CrossEntropy().loss(None, run), run)(logits, make_batch([0])).sum().backward()
    assert float(logits.grad.abs().max()) < 1e-6


def test_with_focal_every_class_has_its_own_factor(run):
    found = LabelSmoothing(0.3).loss(Focal(gamma=2.0).loss(None, run), run)(LOGITS, make_batch(LABELS))
    probability = LOGITS.softmax(1)
    target = 0.7 * F.one_hot(LABELS, 3) + 0.1
    assert torch.allclose(found, -(target * (1 - probability) ** 2 * probability.log()).sum(1), atol=1e-6)


def test_with_balanced_softmax(run):
    found = LabelSmoothing(0.1).loss(BalancedSoftmax().loss(None, run), run)(LOGITS, make_batch(LABELS))
    expected = F.cross_entropy(LOGITS + run.counts.log(), LABELS, reduction="none", label_smoothing=0.1)
    assert torch.allclose(found, expected, atol=1e-6)


def test_with_mixing(run):
    plain, others = make_batch(LABELS), LABELS.flip(0)
    both = Targets(torch.stack([LABELS, others], 1), torch.tensor([[.8, .2]]).expand(5, 2))
    batch = Batch(plain.images, both, plain.rows)
    found = LabelSmoothing(0.1).loss(CrossEntropy().loss(None, run), run)(LOGITS, batch)
    soft = .8 * F.one_hot(LABELS, 3) + .2 * F.one_hot(others, 3)
    assert torch.allclose(found, F.cross_entropy(LOGITS, soft, reduction="none", label_smoothing=0.1), atol=1e-6)


def test_refuses_epsilon_of_one():
    with pytest.raises(BundleError, match=r"label_smoothing\.epsilon: 1\.0 is not allowed; .* >= 0 and < 1"):
        LabelSmoothing(1.0)

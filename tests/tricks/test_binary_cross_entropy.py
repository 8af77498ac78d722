import math

import pytest
import torch
from timm.loss import BinaryCrossEntropy as Theirs

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use
from autotricks.core.plan import problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.binary_cross_entropy import BinaryCrossEntropy, present
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from tests.conftest import make_batch

LOGITS = torch.randn(2, 3, generator=torch.Generator().manual_seed(3)) * 3


def mixed(labels, shares):
    plain = make_batch([0] * len(labels))
    return Batch(plain.images, Targets(torch.tensor(labels), torch.tensor(shares)), plain.rows)


def test_by_hand():
    # yes at odds of 3 : 1 costs log(4/3), no at odds of 1 : 1 log 2
    loss = BinaryCrossEntropy().loss(None, None)(torch.tensor([[math.log(3), 0.0]]), make_batch([0], classes=2))
    assert loss.tolist() == pytest.approx([(math.log(4 / 3) + math.log(2)) / 2])


def test_a_class_is_there_above_the_threshold_of_the_sum_of_its_shares():
    labels, shares = torch.tensor([[0, 2, 0], [1, 1, 2]]), torch.tensor([[0.15, 0.7, 0.15], [0.4, 0.4, 0.2]])
    assert present(labels, shares, 3, 0.2).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert present(labels, shares, 3, 0.0).tolist() == [[1, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5])
def test_equals_that_of_timm(run, threshold):
    batch = mixed([[0, 2], [1, 0]], [[0.7, 0.3], [0.9, 0.1]])
    soft = torch.tensor([[0.7, 0.0, 0.3], [0.1, 0.9, 0.0]])
    found = BinaryCrossEntropy(threshold=threshold).loss(None, run)(LOGITS, batch)
    assert float(found.mean()) == pytest.approx(float(Theirs(target_threshold=threshold)(LOGITS, soft)))


def test_both_classes_of_a_mixture_are_learned_alike(run):
    logits = torch.zeros(1, 3, requires_grad=True)
    BinaryCrossEntropy().loss(None, run)(logits, mixed([[0, 2]], [[0.7, 0.3]])).sum().backward()
    assert logits.grad[0].tolist() == pytest.approx([-1 / 6, 1 / 6, -1 / 6])


@pytest.mark.parametrize("other", [LabelSmoothing(), ClassWeights()])
def test_what_a_threshold_would_undo_is_refused(other):
    assert problems([Use(BinaryCrossEntropy()), Use(other)])


def test_a_threshold_that_nothing_passes_is_refused():
    with pytest.raises(BundleError, match=r"binary_cross_entropy\.threshold: 1\.0 is not allowed"):
        BinaryCrossEntropy(threshold=1.0)

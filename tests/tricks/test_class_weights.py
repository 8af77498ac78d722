from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use
from autotricks.core.plan import advice
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.class_weights import ClassWeights, class_weights
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.loss.sigmoid_focal import SigmoidFocal
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_batch, make_run


def mixed_batch(labels, others, keep=0.7):
    plain = make_batch(labels)
    pairs = torch.stack([torch.tensor(labels), torch.tensor(others)], 1)
    return Batch(plain.images, Targets(pairs, torch.tensor([[keep, 1 - keep]]).expand(len(labels), 2)), plain.rows)


def test_effective_numbers_by_hand():
    # beta = 1/2: E = 1, 3/2; weights 1, 2/3, scaled to sum to 2.
    assert class_weights(torch.tensor([1, 2]), 0.5).tolist() == pytest.approx([1.2, 0.8])


def test_limits_of_beta():
    counts = torch.tensor([5000., 500., 50.])
    assert class_weights(counts, 0.0).tolist() == [1, 1, 1]
    inverse = 1 / counts
    assert torch.allclose(class_weights(counts, 1 - 1e-9), 3 * inverse / inverse.sum(), rtol=1e-5)


def test_beta_near_one_keeps_its_digits():
    beta, counts = 0.9999, (5000, 50)
    exact = [(1 - beta) / sum((1 - beta) * beta**power for power in range(count)) for count in counts]
    expected = [2 * weight / sum(exact) for weight in exact]
    assert class_weights(torch.tensor(counts).float(), beta).tolist() == pytest.approx(expected, rel=1e-6)


def test_a_class_without_images_weighs_nothing():
    assert class_weights(torch.tensor([2., 0., 2.]), 0.9).tolist() == pytest.approx([1.5, 0, 1.5])


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_equals_torch_over_hard_labels(run, epsilon):
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 0, 0, 1, 1, 2, 0])
    loss = ClassWeights(beta=0.9).loss(CrossEntropy().loss(None, run), run)
    if epsilon:
        loss = LabelSmoothing(epsilon).loss(loss, run)
    expected = F.cross_entropy(logits, labels, weight=class_weights(run.counts, 0.9), label_smoothing=epsilon)
    assert float(loss(logits, make_batch(labels)).mean()) == pytest.approx(float(expected), rel=1e-6)


def test_a_mixture_divides_by_the_weight_of_its_shares(run):
    batch, logits = mixed_batch([0, 1], [2, 0]), torch.tensor([[1., 0., -1.], [.5, .5, 0.]])
    w, nll = class_weights(run.counts, 0.9).tolist(), -logits.log_softmax(1)
    above = .7 * w[0] * nll[0, 0] + .3 * w[2] * nll[0, 2] + .7 * w[1] * nll[1, 1] + .3 * w[0] * nll[1, 0]
    below = .7 * w[0] + .3 * w[2] + .7 * w[1] + .3 * w[0]
    loss = ClassWeights(beta=0.9).loss(CrossEntropy().loss(None, run), run)
    assert float(loss(logits, batch).mean()) == pytest.approx(float(above) / below, rel=1e-6)


def test_unnormalized_the_sum_is_divided_by_the_images(run):
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 0, 0, 1, 1, 2, 0])
    weights, batch = class_weights(run.counts, 0.9), make_batch(labels)
    loss = ClassWeights(beta=0.9, normalize=False).loss(CrossEntropy().loss(None, run), run)
    expected = F.cross_entropy(logits, labels, weight=weights, reduction="none")
    assert torch.allclose(loss(logits, batch), expected)
    assert torch.allclose(loss(logits[:4], batch.split(2)[0]), expected[:4])  # the rest of the batch does not matter


def test_class_balanced_focal_as_published(run):
    """Binary cross-entropy times (1 - p)^gamma, summed over classes, weighed, summed and divided by the images."""
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(5)), torch.tensor([0, 0, 0, 1, 1, 2, 0])
    loss = ClassWeights(beta=0.9, normalize=False).loss(SigmoidFocal(1.0).loss(None, run), run)
    answers = F.one_hot(labels, 3).float()
    wrong = (logits.sigmoid() - answers).abs()
    each = (wrong * F.binary_cross_entropy_with_logits(logits, answers, reduction="none")).sum(1)
    expected = (each * class_weights(run.counts, 0.9)[labels]).sum() / 7
    assert float(loss(logits, make_batch(labels)).mean()) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_micro_batches_give_the_gradient_of_the_whole_batch(parts, normalize):
    run = make_run()
    batch = mixed_batch([0, 0, 0, 0, 1, 2], [0, 1, 0, 2, 0, 1])
    weighted = ClassWeights(beta=0.9, normalize=normalize).loss(CrossEntropy().loss(None, run), run)
    loss = LabelSmoothing(0.1).loss(weighted, run)

    def gradient(pieces):
        run.runtime = replace(run.runtime, micro_batches=pieces)
        value = backward(loss, run)(batch)
        return value, run.model[1].weight.grad.clone()
    whole, cut = gradient(1), gradient(parts)
    assert float(cut[0]) == pytest.approx(float(whole[0]), rel=1e-6)
    assert torch.allclose(cut[1], whole[1], rtol=1e-4, atol=1e-7)


def test_advised_against_beside_resampling_and_prior_removal():
    assert len(advice([Use(ClassWeights()), Use(ClassBalanced())])) == 1
    words = advice([Use(ClassWeights()), Use(BalancedSoftmax())])
    assert len(words) == 1 and ".772 to .671" in words[0]


def test_refuses_beta_of_one():
    with pytest.raises(BundleError, match=r"class_weights\.beta: 1\.0 is not allowed; beta must be >= 0 and < 1"):
        ClassWeights(beta=1.0)

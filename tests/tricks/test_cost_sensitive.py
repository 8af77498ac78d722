from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use
from autotricks.core.plan import advice, problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.cost_sensitive import CostSensitive, cost_weights
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_batch, make_run


@pytest.mark.parametrize(("exponent", "expected"), [(1.0, [1 / 16, 1 / 4, 1]), (0.5, [1 / 4, 1 / 2, 1]),
                                                     (0.0, [1, 1, 1])])
def test_powers_of_the_inverse_by_hand(exponent, expected):
    assert cost_weights(torch.tensor([32., 8., 2.]), exponent).tolist() == expected


def test_a_class_without_images_weighs_nothing_and_is_not_the_rarest():
    assert cost_weights(torch.tensor([8., 0., 2.]), 1.0).tolist() == [.25, 0, 1]
    assert cost_weights(torch.tensor([8., 0., 2.]), 0.0).tolist() == [1, 0, 1]


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_equals_torch_with_weights_of_one_over_n(run, epsilon):
    logits, labels = torch.randn(7, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 0, 0, 1, 1, 2, 0])
    loss = CostSensitive().loss(CrossEntropy().loss(None, run), run)
    if epsilon:
        loss = LabelSmoothing(epsilon).loss(loss, run)
    expected = F.cross_entropy(logits, labels, weight=torch.tensor([1 / 6, 1 / 3, 1.]), label_smoothing=epsilon)
    scale = float(loss(logits, make_batch(labels)).mean()) / float(expected)
    assert scale == pytest.approx(1, rel=1e-6)


def test_a_mixture_divides_by_the_weight_of_its_shares(run):
    plain, logits = make_batch([0, 1]), torch.tensor([[1., 0., -1.], [.5, .5, 0.]])
    batch = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.7, .3]])), plain.rows)
    w, nll = [1 / 6, 1 / 3, 1], -logits.log_softmax(1)
    above = .7 * w[0] * nll[0, 0] + .3 * w[2] * nll[0, 2] + .7 * w[1] * nll[1, 1] + .3 * w[0] * nll[1, 0]
    below = .7 * w[0] + .3 * w[2] + .7 * w[1] + .3 * w[0]
    loss = CostSensitive().loss(CrossEntropy().loss(None, run), run)
    assert float(loss(logits, batch).mean()) == pytest.approx(float(above) / below, rel=1e-6)


def test_unnormalized_the_rarest_class_keeps_its_loss(run):
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 1, 2, 0])
    found = CostSensitive(normalize=False).loss(CrossEntropy().loss(None, run), run)(logits, make_batch(labels))
    expected = torch.tensor([1 / 6, 1 / 3, 1, 1 / 6]) * F.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("parts", [2, 6])
def test_micro_batches_give_the_gradient_of_the_whole_batch(parts):
    run, batch = make_run(), make_batch([0, 0, 0, 0, 1, 2])
    loss = CostSensitive(0.5).loss(CrossEntropy().loss(None, run), run)

    def gradient(pieces):
        run.runtime = replace(run.runtime, micro_batches=pieces)
        value = backward(loss, run)(batch)
        return float(value), run.model[1].weight.grad.clone()
    whole, cut = gradient(1), gradient(parts)
    assert cut[0] == pytest.approx(whole[0], rel=1e-6)
    assert torch.allclose(cut[1], whole[1], rtol=1e-4, atol=1e-7)


def test_advised_against_beside_resampling_and_prior_removal_and_in_one_seat_with_class_weights():
    assert len(advice([Use(CostSensitive()), Use(ClassBalanced())])) == 1
    assert len(advice([Use(CostSensitive()), Use(BalancedSoftmax())])) == 1
    assert len(problems([Use(CostSensitive()), Use(ClassWeights())])) == 1


def test_refuses_a_negative_exponent():
    with pytest.raises(BundleError, match=r"cost_sensitive\.exponent: -1\.0 is not allowed; exponent must be >= 0"):
        CostSensitive(-1.0)

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use, Window
from autotricks.core.plan import advice, problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.influence_balanced import InfluenceBalanced, influence, inverse_shares
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_batch, make_run

GENERATOR = torch.Generator().manual_seed(4)
LABELS = torch.tensor([0, 1, 2, 0])
LOGITS = 2 * torch.randn(4, 3, generator=GENERATOR)
FEATURES = torch.randn(4, 5, generator=GENERATOR)
WEIGHTS = torch.tensor([1 / 6, 1 / 3, 1.]) * 2  # 1 / n of 6, 3 and 1 images, scaled to sum to 3


def weighing(run, **settings):
    return InfluenceBalanced(**settings).loss(CrossEntropy().loss(None, run), run)


def batch_of(labels, features=FEATURES):
    return replace(make_batch(labels), features=features)


def test_influence_by_hand():
    # p = .8 and .2: |p - y| = .4 or 1.6; |h| = 3.5
    found = influence(torch.tensor([[math.log(4), 0.]]), torch.tensor([[0, 1]]), torch.tensor([[1., -2., .5]]))
    assert found[0].tolist() == pytest.approx([1.4, 5.6])


def test_influence_is_the_length_of_the_gradient_of_the_classifier():
    weight = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for row in range(4):
        loss = F.cross_entropy(FEATURES[row:row + 1] @ weight.T, LABELS[row:row + 1])
        slope, = torch.autograd.grad(loss, weight)
        found = influence(FEATURES[row:row + 1] @ weight.T.detach(), LABELS[row:row + 1, None], FEATURES[row:row + 1])
        assert float(found) == pytest.approx(float(slope.abs().sum()), rel=1e-5)


def test_weights_of_classes_by_hand():
    assert inverse_shares(torch.tensor([6., 3., 1.])).tolist() == pytest.approx(WEIGHTS.tolist())
    assert inverse_shares(torch.tensor([2., 0., 2.])).tolist() == pytest.approx([1.5, 0, 1.5])


@pytest.mark.parametrize(("by_class", "weights"), [(True, WEIGHTS), (False, torch.ones(3))])
def test_loss_and_gradient_are_those_of_the_formula_spelled_out(run, by_class, weights):
    logits, features = LOGITS.clone().requires_grad_(), FEATURES.clone().requires_grad_()
    found = weighing(run, alpha=1000.0, by_class=by_class)(logits, batch_of(LABELS, features))
    influences = (logits.softmax(1) - F.one_hot(LABELS, 3)).abs().sum(1) * features.abs().sum(1)
    expected = weights[LABELS] * F.cross_entropy(logits, LABELS, reduction="none") * 1000 / (influences + 1e-3)
    assert torch.allclose(found, expected, rtol=1e-5)
    for ours, theirs in zip(*(torch.autograd.grad(loss.sum(), (logits, features)) for loss in (found, expected)),
                            strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_factor_has_a_gradient_too():
    # L = -log p / (2 (1 - p) H) in the limit of a large influence; dL/dH = -L / H, which a constant factor has not
    features = torch.full((1, 4), 1e4, requires_grad=True)
    loss = weighing(make_run(), alpha=1e4, by_class=False)(torch.zeros(1, 2), batch_of([0], features))
    slope, = torch.autograd.grad(loss.sum(), features)
    assert float(loss.detach()) == pytest.approx(1e4 * math.log(2) / 4e4, rel=1e-5)
    assert slope[0].tolist() == pytest.approx([-math.log(2) / 4 / 4e4] * 4, rel=1e-5)


def test_a_label_that_is_nearly_learned_keeps_a_loss_until_its_influence_is_gone():
    features, sure = torch.full((1, 4), 25.0), torch.tensor([[math.log(999), 0.]])
    loss = weighing(make_run(), alpha=1000.0, by_class=False)
    assert float(loss(sure, batch_of([0], features))) == pytest.approx(1000 / 200, rel=0.01)
    gone = loss(torch.tensor([[60., 0.]], requires_grad=True), batch_of([0], features))
    assert float(gone.detach()) == pytest.approx(0, abs=1e-6)
    gone.sum().backward()  # finite where p rounds to 1


def test_each_label_of_a_mixture_has_its_own_factor(run):
    plain = make_batch([0, 1])
    batch = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows,
                  features=FEATURES[:2])
    loss = weighing(run, alpha=3.0)
    first, second = (loss(LOGITS[:2], batch_of(labels, FEATURES[:2])) for labels in ([0, 1], [2, 0]))
    assert torch.allclose(loss(LOGITS[:2], batch), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


def test_smoothed_labels_are_weighed_each_by_itself(run):
    loss = LabelSmoothing(0.3).loss(weighing(run, alpha=3.0), run)
    parts = torch.stack([weighing(run, alpha=3.0)(LOGITS, batch_of([label] * 4)) for label in range(3)], 1)
    expected = ((0.7 * F.one_hot(LABELS, 3) + 0.1) * parts).sum(1)
    assert torch.allclose(loss(LOGITS, batch_of(LABELS)), expected, rtol=1e-5)


@pytest.mark.parametrize("parts", [2, 5])
def test_micro_batches_give_the_gradient_of_the_whole_batch(parts):
    run, batch = make_run(), make_batch([0, 0, 0, 1, 2])
    loss = weighing(run, alpha=10.0)

    def gradient(pieces):
        run.runtime = replace(run.runtime, micro_batches=pieces)
        value = backward(loss, run, reads_features=True)(batch)
        return float(value), run.model[1].weight.grad.clone()
    whole, cut = gradient(1), gradient(parts)
    assert cut[0] == pytest.approx(whole[0], rel=1e-6)
    assert torch.allclose(cut[1], whole[1], rtol=1e-4, atol=1e-7)


def test_opens_half_way_in_the_seat_of_weights():
    assert Use(InfluenceBalanced()).window == Window(0.5, 1.0)
    assert len(problems([Use(InfluenceBalanced()), Use(ClassWeights())])) == 1
    assert len(advice([Use(InfluenceBalanced()), Use(ClassBalanced())])) == 1
    assert len(advice([Use(InfluenceBalanced()), Use(BalancedSoftmax())])) == 1


def test_refuses_an_alpha_of_zero():
    with pytest.raises(BundleError, match=r"influence_balanced\.alpha: 0\.0 is not allowed; alpha must be > 0"):
        InfluenceBalanced(alpha=0.0)

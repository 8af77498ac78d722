import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import advice, problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError, ModelError
from autotricks.trial import prepare
from autotricks.tricks.loss.circle_softmax import CircleSoftmax, circle
from autotricks.tricks.model.bnneck import Bnneck
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.model.prior_bias import PriorBias
from tests.conftest import make_batch, make_dataset, make_run

LABELS = torch.tensor([0, 1, 2, 0, 1])
COSINES = torch.rand(5, 3, generator=torch.Generator().manual_seed(3)) * 2 - 1


def cosine_run(scale=30.0):
    run = make_run()
    run.model = CosineHead(scale).model(nn.Sequential(nn.Flatten(), nn.Linear(32, 3)), run)
    return run


def published(cosines, labels, scale, margin):
    """The authors' classifier as a table of logits, under a cross-entropy."""
    own = scale * F.relu(1 + margin - cosines.detach()) * (cosines - 1 + margin)
    rest = scale * F.relu(cosines.detach() + margin) * (cosines - margin)
    return F.cross_entropy(torch.where(F.one_hot(labels, cosines.shape[1]).bool(), own, rest), labels,
                           reduction="none")


def test_by_hand():
    # own: 1.25 - 0.75 = 0.5 times 0 = 0; others: 0.75 times 0.25 = 0.1875, and below -m nothing pushes
    found = circle(torch.tensor([[0.75, 0.5, -0.9]]), torch.tensor([[0]]), 16.0, 0.25)
    assert found.item() == pytest.approx(-torch.tensor([0.0, 3.0, 0.0]).log_softmax(0)[0].item(), rel=1e-6)
    # label 1: own 0.75 times -0.25; others 1.0 times 0.5, and 0
    found = circle(torch.tensor([[0.75, 0.5, -0.9]]), torch.tensor([[1]]), 16.0, 0.25)
    assert found.item() == pytest.approx(-torch.tensor([8.0, -3.0, 0.0]).log_softmax(0)[1].item(), rel=1e-6)


@pytest.mark.parametrize(("scale", "margin"), [(16.0, 0.1), (64.0, 0.35), (256.0, 0.4)])
def test_is_the_authors_table_with_its_gradient(scale, margin):
    ours, theirs = COSINES.clone().requires_grad_(), COSINES.double().requires_grad_()
    found, expected = circle(ours, LABELS.unsqueeze(1), scale, margin)[:, 0], published(theirs, LABELS, scale, margin)
    assert torch.allclose(found.double(), expected, rtol=1e-4, atol=1e-5)
    found.sum().backward()
    expected.sum().backward()
    assert torch.allclose(ours.grad.double(), theirs.grad, rtol=1e-3, atol=1e-3)


def test_nothing_is_learned_through_the_weights():
    cosines = torch.tensor([[0.3, -0.2]], requires_grad=True)
    circle(cosines, torch.tensor([[0]]), 10.0, 0.4).sum().backward()
    chance = torch.tensor([10 * 1.1 * -0.3, 10 * 0.2 * -0.6]).softmax(0)
    # d loss / d c = (p - y) times scale and weight: 10 * 1.1 for the label, 10 * 0.2 for the other
    assert torch.allclose(cosines.grad[0], torch.stack([(chance[0] - 1) * 11, chance[1] * 2]))


def test_a_cosine_where_it_should_be_is_left_alone():
    cosines = torch.tensor([[1.0, -0.4, -0.8]], requires_grad=True)
    circle(cosines, torch.tensor([[0]]), 64.0, 0.35).sum().backward()
    assert cosines.grad[0, 1:].tolist() == [0, 0]
    own = 64 * 0.35  # the weight of the label, whose logit is own * 0.35; the others' are 0
    assert cosines.grad[0, 0].item() == pytest.approx(-own * 2 / (math.exp(own * 0.35) + 2), rel=1e-4)


@pytest.mark.parametrize("scale", [10.0, 30.0])
def test_the_scale_of_the_head_does_not_matter(scale):
    found = CircleSoftmax(margin=0.2, scale=40.0).loss(None, cosine_run(scale))(scale * COSINES, make_batch(LABELS))
    assert torch.allclose(found, published(COSINES, LABELS, 40.0, 0.2), rtol=1e-4, atol=1e-5)


def test_each_label_of_a_mixture_has_its_own_term():
    run, plain = cosine_run(), make_batch([0, 1])
    loss = CircleSoftmax().loss(None, run)
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = (loss(30 * COSINES[:2], make_batch(labels)) for labels in ([0, 1], [2, 0]))
    expected = torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second
    assert torch.allclose(loss(30 * COSINES[:2], mixed), expected)


def test_learns_behind_a_neck():
    uses = Use(CircleSoftmax()), Use(CosineHead()), Use(Bnneck())
    trainer = prepare(Bundle(uses, epochs=6, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9


def test_needs_a_cosine_head_and_is_not_advised_beside_a_prior():
    assert problems([Use(CircleSoftmax())]) == [
        "circle_softmax requires a trick that provides cosine head; none is active with it."]
    with pytest.raises(ModelError, match=r"circle_softmax: no module of Sequential has a `cosine_scale`"):
        CircleSoftmax().loss(None, make_run())
    line, = advice([Use(CircleSoftmax()), Use(CosineHead()), Use(PriorBias())])
    assert line.startswith("circle_softmax beside prior_bias is not advised") and "2002.10857" in line


def test_refuses_a_margin_of_more_than_one():
    with pytest.raises(BundleError, match=r"circle_softmax\.margin: 1\.5 is not allowed; margin must be >= 0 and <= 1"):
        CircleSoftmax(1.5)

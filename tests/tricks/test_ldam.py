import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.batch import Batch
from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError, ModelError
from autotricks.functional.margins import log_sum_of_others
from autotricks.trial import prepare
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.loss.ldam import Ldam, ldam, margins
from autotricks.tricks.model.cosine_head import CosineHead
from tests.conftest import make_batch, make_dataset, make_run

LABELS = torch.tensor([0, 1, 2, 0, 1])
COSINES = torch.rand(5, 3, generator=torch.Generator().manual_seed(3)) * 2 - 1


def cosine_run(scale=30.0):
    run = make_run(counts=(81, 16, 1))
    run.model = CosineHead(scale).model(nn.Sequential(nn.Flatten(), nn.Linear(32, 3)), run)
    return run


def lowered(cosines, labels, margin, scale):
    """The paper's formula as its text has it: a one-hot margin under a cross-entropy."""
    own = margin[labels].unsqueeze(1) * F.one_hot(labels, cosines.shape[1])
    return F.cross_entropy(scale * (cosines - own), labels, reduction="none")


def test_margins_by_hand():
    assert margins(torch.tensor([81., 16., 1.]), 0.5).tolist() == pytest.approx([.5 / 3, .25, .5])
    assert margins(torch.tensor([16., 0.]), 0.2).tolist() == pytest.approx([.1, .2])
    assert margins(torch.tensor([625., 16.]), 0.5).tolist() == pytest.approx([.2, .5])


@pytest.mark.parametrize("scale", [10.0, 30.0])
def test_is_the_formula_of_the_paper(scale):
    found = Ldam(0.5).loss(None, cosine_run(scale))(scale * COSINES, make_batch(LABELS))
    assert torch.allclose(found, lowered(COSINES, LABELS, torch.tensor([.5 / 3, .25, .5]), scale), rtol=1e-5, atol=1e-6)


def test_agrees_with_pytorch_optimizer():
    from pytorch_optimizer import LDAMLoss
    theirs = LDAMLoss([81, 16, 1], max_m=0.5, s=30.0)(COSINES, LABELS)
    found = Ldam(0.5).loss(None, cosine_run())(30 * COSINES, make_batch(LABELS)).mean()
    assert float(found) == pytest.approx(float(theirs), rel=1e-5)


def test_without_margin_is_cross_entropy(run):
    found = ldam(3 * COSINES, LABELS.unsqueeze(1), torch.zeros(3))[:, 0]
    assert torch.allclose(found, F.cross_entropy(3 * COSINES, LABELS, reduction="none"), atol=1e-6)


@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0, 64.0])
def test_sum_of_the_others_is_exact_for_every_label(spread):
    logits = spread * (torch.rand(50, 7, generator=torch.Generator().manual_seed(1)) * 2 - 1)
    every = torch.arange(7).expand(50, 7)
    exact = torch.stack([logits.double()[:, [other for other in range(7) if other != label]].logsumexp(1)
                         for label in range(7)], 1)
    assert torch.allclose(log_sum_of_others(logits, every).double(), exact, atol=1e-5)


def test_gradient_is_that_of_the_formula_also_where_logits_are_far_apart_or_equal():
    cosines = torch.cat([COSINES, torch.tensor([[1., -1., -1.], [0., 0., 0.], [-1., 1., 1.]])])
    labels = torch.cat([LABELS, torch.tensor([0, 1, 0])])
    logits = (64 * cosines).requires_grad_()
    ldam(logits, labels.unsqueeze(1), 64 * torch.tensor([.1, .2, .5])).sum().backward()
    direct = (64 * cosines).double().requires_grad_()
    margin = 64 * torch.tensor([.1, .2, .5])[labels].unsqueeze(1) * F.one_hot(labels, 3)
    F.cross_entropy(direct - margin, labels, reduction="sum").backward()
    assert torch.allclose(logits.grad.double(), direct.grad, atol=1e-5)


def test_each_label_of_a_mixture_has_its_own_margin():
    run, plain = cosine_run(), make_batch([0, 1])
    loss = Ldam().loss(None, run)
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    margin = torch.tensor([.5 / 3, .25, .5])
    expected = torch.tensor([.7, .4]) * lowered(COSINES[:2], torch.tensor([0, 1]), margin, 30) + torch.tensor(
        [.3, .6]) * lowered(COSINES[:2], torch.tensor([2, 0]), margin, 30)
    assert torch.allclose(loss(30 * COSINES[:2], mixed), expected, rtol=1e-5)


def test_smoothing_gives_every_class_its_own_term():
    run, margin = cosine_run(), torch.tensor([.5 / 3, .25, .5])
    found = LabelSmoothing(0.3).loss(Ldam().loss(None, run), run)(30 * COSINES, make_batch(LABELS))
    parts = torch.stack([lowered(COSINES, torch.full((5,), label), margin, 30) for label in range(3)], 1)
    assert torch.allclose(found, ((0.7 * F.one_hot(LABELS, 3) + 0.1) * parts).sum(1), rtol=1e-5)


def test_needs_a_cosine_head():
    assert problems([Use(Ldam())]) == ["ldam requires a trick that provides cosine head; none is active with it."]
    assert problems([Use(Ldam()), Use(CosineHead())]) == []
    with pytest.raises(ModelError, match=r"ldam: no module of Sequential has a `cosine_scale`.*Add cosine_head"):
        Ldam().loss(None, make_run())


def test_deferred_weighting_on_top_trains():
    uses = Use(Ldam()), Use(CosineHead()), Use(ClassWeights(), Window(0.5, 1.0))
    trainer = prepare(Bundle(uses, epochs=6, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9


def test_the_margin_asks_for_a_cosine_that_much_larger():
    loss = Ldam().loss(None, cosine_run())
    equal = loss(30 * torch.tensor([[.25, 0., -1.], [0., -1., .5]]), make_batch([0, 2]))
    # the rarest class must lead by .5 for an even chance against one other; class 0 by a sixth only
    assert float(equal[1]) == pytest.approx(math.log(2), abs=1e-5)
    assert float(equal[0]) == pytest.approx(math.log1p(math.exp(-30 * (.25 - .5 / 3))), abs=1e-5)


def test_refuses_a_margin_of_more_than_two():
    with pytest.raises(BundleError, match=r"ldam\.max_margin: 2\.5 is not allowed; max_margin must be >= 0 and <= 2"):
        Ldam(2.5)

import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use
from autotricks.core.plan import advice, problems
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax
from autotricks.tricks.loss.class_weights import ClassWeights
from autotricks.tricks.loss.cost_sensitive import CostSensitive
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.loss.logit_adjustment import LogitAdjustment, logit_adjusted
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_batch, make_run
from tests.tricks.clouds import LOG_PRIOR, accuracy, fitted

LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))


def test_equal_logits_lose_by_the_power_of_the_prior():
    found = logit_adjusted(torch.zeros(1, 2), torch.tensor([[0, 1]]), torch.tensor([.8, .2]).log(), 2.0)
    assert found[0].tolist() == pytest.approx([math.log(17 / 16), math.log(17)])


@pytest.mark.parametrize("tau", [0.0, 0.5, 2.0])
def test_is_cross_entropy_of_adjusted_logits(run, tau):
    found = LogitAdjustment(tau).loss(None, run)(LOGITS, make_batch(LABELS))
    prior = torch.tensor([.6, .3, .1])
    assert torch.allclose(found, F.cross_entropy(LOGITS + tau * prior.log(), LABELS, reduction="none"), atol=1e-6)


def test_tau_of_one_has_the_loss_and_gradient_of_balanced_softmax(run):
    logits = LOGITS.clone().requires_grad_()
    ours, theirs = (trick.loss(None, run)(logits, make_batch(LABELS)).sum() for trick in (
        LogitAdjustment(1.0), BalancedSoftmax()))
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    expected = (LOGITS + torch.tensor([6., 3., 1.]).log()).softmax(1) - F.one_hot(LABELS, 3)
    for loss in (ours, theirs):
        assert torch.allclose(torch.autograd.grad(loss, logits)[0], expected, atol=1e-6)


def test_a_mixture_is_the_sum_of_its_parts(run):
    loss, plain = LogitAdjustment().loss(None, run), make_batch([0, 1])
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = loss(LOGITS[:2], plain), loss(LOGITS[:2], make_batch([2, 0]))
    assert torch.allclose(loss(LOGITS[:2], mixed), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


def test_balances_and_leaving_the_prior_in_gives_back_plain_training():
    plain, adjusted = fitted(CrossEntropy()), fitted(LogitAdjustment())
    assert accuracy(adjusted) > accuracy(plain) + 0.05
    assert accuracy(adjusted + LOG_PRIOR) == pytest.approx(accuracy(plain), abs=0.002)
    # the bias of the regression is free, so here the loss and the post-hoc form are one
    assert accuracy(plain - LOG_PRIOR) == pytest.approx(accuracy(adjusted), abs=0.002)
    assert (fitted(BalancedSoftmax()).argmax(1) == adjusted.argmax(1)).double().mean() > 0.998


def test_weights_of_one_over_n_correct_twice_which_is_advised_against():
    twice = fitted(LogitAdjustment(), CostSensitive())
    assert accuracy(twice) < accuracy(fitted(LogitAdjustment())) - 0.02
    for other in (CostSensitive(), ClassWeights(), ClassBalanced()):
        assert len(advice([Use(LogitAdjustment()), Use(other)])) == 1
    assert len(problems([Use(LogitAdjustment()), Use(BalancedSoftmax())])) == 1


def test_a_class_without_images_keeps_loss_finite():
    loss = LogitAdjustment().loss(None, make_run(counts=(6, 3, 0)))(torch.zeros(2, 3), make_batch([0, 1]))
    assert loss.tolist() == pytest.approx([math.log(10 / 6), math.log(10 / 3)])


def test_refuses_a_negative_tau():
    with pytest.raises(BundleError, match=r"logit_adjustment\.tau: -1\.0 is not allowed; tau must be >= 0"):
        LogitAdjustment(-1.0)

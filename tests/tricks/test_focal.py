import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.focal import Focal, focal
from tests.conftest import make_batch


def test_even_odds():
    logits = torch.zeros(1, 4)
    assert float(focal(logits, torch.tensor([[2]]), 2.0)) == pytest.approx(.75**2 * math.log(4))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_follows_the_formula(gamma):
    logits = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1], [1, 4], [2, 3], [3, 0], [4, 4], [0, 2]])
    probability = (logits.exp() / logits.exp().sum(1, keepdim=True)).gather(1, labels)
    assert torch.allclose(focal(logits, labels, gamma), -(1 - probability) ** gamma * probability.log())
    assert torch.autograd.gradcheck(lambda given: focal(given, labels, gamma), logits.requires_grad_())


def test_gamma_zero_is_cross_entropy(run):
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    found = Focal(gamma=0.0).loss(None, run)(logits, make_batch(labels))
    assert torch.equal(found, F.cross_entropy(logits, labels, reduction="none"))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("logit", [1e-8, 17.0, 40.0, 1e4])
def test_certainty_right_or_wrong_stays_finite(gamma, logit):
    logits = torch.tensor([[logit, 0.0], [-logit, 0.0]], requires_grad=True)
    losses = focal(logits, torch.tensor([[0], [0]]), gamma).squeeze(1)
    losses.sum().backward()
    right, wrong = losses.tolist()
    assert bool(logits.grad.isfinite().all())
    # Wrong and certain: the factor is 1 and the loss is the logit's distance; right and certain: nothing is left.
    if logit >= 17:
        assert wrong == pytest.approx(logit, rel=1e-6) and right < 1e-6
        assert logits.grad[1].tolist() == pytest.approx([-1, 1], abs=1e-5)


def test_each_label_of_a_mixture_has_its_own_probability(run):
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    mixed = Batch(torch.zeros(1, 2, 4, 4), Targets(torch.tensor([[0, 2]]), torch.tensor([[.7, .3]])), torch.tensor([0]))
    probability = logits.softmax(1)[0].tolist()
    expected = sum(-share * (1 - probability[label]) ** 2 * math.log(probability[label])
                   for label, share in ((0, .7), (2, .3)))
    assert float(Focal().loss(None, run)(logits, mixed)) == pytest.approx(expected, rel=1e-5)


def test_refuses_a_negative_gamma():
    with pytest.raises(BundleError, match=r"focal\.gamma: -1 is not allowed; gamma must be >= 0 \(exponent\)"):
        Focal(gamma=-1)

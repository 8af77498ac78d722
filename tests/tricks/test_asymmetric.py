import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.tricks.loss.asymmetric import Asymmetric, asymmetric
from tests.conftest import make_batch

LOGITS = torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
TRUTH = torch.rand(50, 7, generator=torch.Generator().manual_seed(1)) < 0.3


def by_definition(z, there, positive, negative, margin):
    """Equations 4 to 7 for one answer, in plain numbers."""
    p = 1 / (1 + math.exp(-z))
    if there:
        return -((1 - p) ** positive) * math.log(p)
    shifted = max(p - margin, 0)
    return -(shifted ** negative) * math.log(1 - shifted)


@pytest.mark.parametrize("powers", [
    (1.0, 4.0, 0.05), (0.0, 0.0, 0.0), (2.0, 2.0, 0.0), (0.5, 0.5, 0.2), (0.0, 3.0, 0.05)])
def test_each_answer_by_definition(powers):
    found = asymmetric(LOGITS, TRUTH.double(), *powers)
    expected = [[by_definition(z, there, *powers) for z, there in zip(*row)]
                for row in zip(LOGITS.tolist(), TRUTH.tolist())]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_without_exponents_and_margin_it_is_binary_cross_entropy_summed():
    batch = made([[0, 2], [], [1]], 3)
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(5))
    truth = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])
    expected = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)
    assert torch.allclose(Asymmetric(positive=0.0, negative=0.0, margin=0.0).loss(None, None)(logits, batch), expected)


def test_a_mixture_counts_by_its_shares():
    logits = torch.tensor([[0.3, -1.0]])
    batch = made([[0], [1]], 2)
    mixed = Batch(batch.images[:1], batch.targets.blend(torch.tensor([1, 0]), torch.tensor([0.7]))[:1], batch.rows[:1])
    loss = Asymmetric(positive=1.0).loss(None, None)
    alone = [float(loss(logits, made([labels], 2))) for labels in ([0, 1], [])]
    assert alone[0] != pytest.approx(alone[1])
    terms = asymmetric(logits, torch.ones(1, 2), 1.0, 4.0, 0.05), asymmetric(logits, torch.zeros(1, 2), 1.0, 4.0, 0.05)
    expected = 0.7 * terms[0][0, 0] + 0.3 * terms[1][0, 0] + 0.3 * terms[0][0, 1] + 0.7 * terms[1][0, 1]
    assert float(loss(logits, mixed)) == pytest.approx(float(expected))


def test_what_is_there_twice_counts_once():
    logits = torch.tensor([[0.3, -1.0]])
    both = made([[0, 1], [0]], 2)
    mixed = Batch(both.images[:1], both.targets.blend(torch.tensor([1, 0]), torch.tensor([0.6]))[:1], both.rows[:1])
    shares = torch.tensor([[1.0, 0.6]])
    found = Asymmetric(positive=1.0).loss(None, None)(logits, mixed)
    assert torch.allclose(found, asymmetric(logits, shares, 1.0, 4.0, 0.05).sum(1))


@pytest.mark.parametrize("value", [-200.0, 200.0])
def test_gradients_stay_finite_where_an_answer_is_certain(value):
    logits = torch.full((2, 2), value, requires_grad=True)
    asymmetric(logits, torch.tensor([[1.0, 0.0]] * 2), 0.5, 0.5, 0.0).sum().backward()
    assert torch.isfinite(logits.grad).all()


def made(labels, classes):
    plain = make_batch([0] * len(labels), classes=classes)
    return Batch(plain.images, Targets.sets(labels), plain.rows)

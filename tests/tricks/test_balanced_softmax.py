import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.bundle import Use
from autotricks.core.plan import advice
from autotricks.core.targets import Targets
from autotricks.tricks.loss.balanced_softmax import BalancedSoftmax, balanced_softmax
from autotricks.tricks.loss.label_smoothing import LabelSmoothing
from autotricks.tricks.sampler.class_balanced import ClassBalanced
from tests.conftest import make_batch, make_run

# Images take three values. Rows of p(value | class) for 2 classes of 90 and 10 images, as whole counts.
IMAGES_OF_CLASS = torch.tensor([[54, 27, 9], [2, 2, 6]])


def test_equal_logits_lose_by_the_prior():
    loss = balanced_softmax(torch.zeros(1, 2), torch.tensor([[0, 1]]), torch.tensor([3., 1.]).log())
    assert loss[0].tolist() == pytest.approx([-math.log(3 / 4), math.log(4)])


def test_is_cross_entropy_of_logits_plus_log_counts(run):
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 1])
    found = BalancedSoftmax().loss(None, run)(logits, make_batch(labels))
    expected = F.cross_entropy(logits + torch.tensor([6., 3., 1.]).log(), labels, reduction="none")
    assert torch.allclose(found, expected)


def test_equal_classes_give_cross_entropy():
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 2])
    found = BalancedSoftmax().loss(None, make_run(counts=(7, 7, 7)))(logits, make_batch(labels))
    assert torch.allclose(found, F.cross_entropy(logits, labels, reduction="none"), atol=1e-6)


def test_a_mixture_is_the_sum_of_its_parts(run):
    logits, loss = torch.randn(2, 3), BalancedSoftmax().loss(None, run)
    plain = make_batch([0, 1])
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = loss(logits, plain), loss(logits, make_batch([2, 0]))
    assert torch.allclose(loss(logits, mixed), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


def test_a_class_without_images_keeps_loss_and_gradient_finite():
    run, logits = make_run(counts=(6, 3, 0)), torch.zeros(2, 3, requires_grad=True)
    smooth = LabelSmoothing(0.1).loss(BalancedSoftmax().loss(None, run), run)
    value = smooth(logits, make_batch([0, 1])).sum()
    value.backward()
    assert bool(value.isfinite()) and bool(logits.grad.isfinite().all())
    assert float(logits.grad[0, 2]) == pytest.approx(1 / 10 - 0.1 / 3)  # softmax of log (6, 3, 1), less the target


def fitted(drawn):
    """Fit free logits of each image value to what is drawn, [2, 3] counts, with the balanced softmax of the data."""
    run = make_run(counts=tuple(IMAGES_OF_CLASS.sum(1).tolist()))
    table = torch.zeros(3, 2, requires_grad=True)
    value, label = (index.flatten() for index in torch.meshgrid(torch.arange(3), torch.arange(2), indexing="ij"))
    loss, shares = BalancedSoftmax().loss(None, run), drawn.float().T.flatten() / drawn.sum()
    batch = make_batch(label, 2)
    for _ in range(1500):
        slope, = torch.autograd.grad((loss(table[value], batch) * shares).sum(), table)
        table = (table - 10 * slope).detach().requires_grad_()
    table = table.detach()
    recall = IMAGES_OF_CLASS / IMAGES_OF_CLASS.sum(1, keepdim=True) * (table.argmax(1) == torch.tensor([[0], [1]]))
    return table[:, 0] - table[:, 1], float(recall.sum()) / 2


def test_plain_logits_hold_the_likelihood_ratio():
    gap, balanced_accuracy = fitted(IMAGES_OF_CLASS)
    assert gap.tolist() == pytest.approx([math.log(.6 / .2), math.log(.3 / .2), math.log(.1 / .6)], abs=1e-3)
    assert balanced_accuracy == pytest.approx(.75)


def test_drawing_classes_alike_corrects_twice_which_is_advised_against():
    gap, balanced_accuracy = fitted(IMAGES_OF_CLASS * torch.tensor([[1], [9]]))
    assert gap.tolist() == pytest.approx([math.log(3 / 9), math.log(1.5 / 9), math.log(1 / 6 / 9)], abs=1e-3)
    assert balanced_accuracy == pytest.approx(.5)
    words = advice([Use(BalancedSoftmax()), Use(ClassBalanced())])
    assert len(words) == 1 and ".772 to .671" in words[0]

import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.seql import Seql, equalized
from tests.conftest import make_batch, make_run

LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))


def test_by_hand():
    # e^z = 1, 2, 4; class 2 is left out unless it is the label
    logits = torch.tensor([1., 2., 4.]).log().unsqueeze(0)
    found = equalized(logits, torch.tensor([[0, 1, 2]]), torch.tensor([[False, False, True]]))
    assert found[0].tolist() == pytest.approx([math.log(3), math.log(3 / 2), math.log(7 / 4)])


def test_is_the_weighted_softmax_of_the_paper(run):
    left_out = torch.rand(5, 3, generator=torch.Generator().manual_seed(4)) < 0.5
    found = equalized(LOGITS, LABELS.unsqueeze(1), left_out)[:, 0]
    weight = 1 - left_out.double() * (1 - F.one_hot(LABELS, 3))
    share = LOGITS.double().exp()[range(5), LABELS] / (weight * LOGITS.double().exp()).sum(1)
    assert torch.allclose(found.double(), -share.log(), atol=1e-6)


@pytest.mark.parametrize(("threshold", "gamma"), [(0.5, 0.0), (0.1, 1.0)])
def test_nothing_left_out_is_cross_entropy(run, threshold, gamma):
    """No chance, or no class below the threshold: the rarest has a tenth of the images, which is not less."""
    found = Seql(threshold, gamma).loss(None, run)(LOGITS, make_batch(LABELS))
    assert torch.allclose(found, F.cross_entropy(LOGITS, LABELS, reduction="none"), atol=1e-6)


def test_only_rare_classes_are_spared_and_as_often_as_gamma_says():
    run = make_run(counts=(60, 39, 1))
    batch, logits = make_batch([0] * 20000, image_shape=(1, 1, 1)), torch.zeros(20000, 3)
    found = Seql(0.05, 0.7).loss(None, run)(logits, batch)
    spared = (found - math.log(2)).abs() < 1e-5
    assert bool((spared | ((found - math.log(3)).abs() < 1e-5)).all())
    assert float(spared.float().mean()) == pytest.approx(0.7, abs=0.013)  # four standard deviations


def test_a_rare_class_counts_fully_in_its_own_samples():
    run = make_run(counts=(60, 39, 1))
    found = Seql(0.05, 1.0).loss(None, run)(LOGITS, make_batch([2] * 5))
    assert torch.allclose(found, F.cross_entropy(LOGITS, torch.tensor([2] * 5), reduction="none"), atol=1e-6)


def test_a_mixture_is_the_sum_of_its_parts():
    run, plain = make_run(counts=(60, 39, 1)), make_batch([0, 1])
    loss = Seql(0.05, 1.0).loss(None, run)
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = loss(LOGITS[:2], plain), loss(LOGITS[:2], make_batch([2, 0]))
    assert torch.allclose(loss(LOGITS[:2], mixed), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_far_logits_and_all_classes_left_out_keep_loss_and_gradient_finite(dtype):
    logits = torch.tensor([[500., 0., -500.], [0., 500., 0.]], dtype=dtype, requires_grad=True)
    loss = equalized(logits, torch.tensor([[2], [1]]), torch.tensor([[True] * 3, [False, True, True]]))
    loss.sum().backward()
    assert loss.flatten().tolist() == [0, 0]  # alone in the softmax; 500 nats above
    assert logits.grad.tolist() == [[0, 0, 0], [0, 0, 0]]
    other = equalized(torch.tensor([[500., 0., -500.]]), torch.tensor([[2]]), torch.tensor([[False, True, True]]))
    assert other.tolist() == [[1000]]


def test_refuses_what_is_no_probability():
    with pytest.raises(BundleError, match=r"seql\.gamma: 1\.5 is not allowed; gamma must be >= 0 and <= 1"):
        Seql(gamma=1.5)

import math

import pytest
import torch
import torch.nn.functional as F

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.loss.cdt import Cdt, temperatures
from tests.conftest import make_batch, make_run

LABELS = torch.tensor([0, 1, 2, 0, 1])
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))


def test_temperatures_by_hand():
    assert temperatures(torch.tensor([81., 16., 1.]), 0.25).tolist() == pytest.approx([1, 1.5, 3])


def test_a_class_without_images_counts_as_one():
    assert temperatures(torch.tensor([9., 0., 1.]), 0.5).tolist() == pytest.approx([1, 3, 3])


def test_without_gamma_is_cross_entropy(run):
    found = Cdt(0.0).loss(None, run)(LOGITS, make_batch(LABELS))
    assert torch.allclose(found, F.cross_entropy(LOGITS, LABELS, reduction="none"), atol=1e-6)


def test_equal_loss_takes_logits_in_proportion_to_the_temperature():
    loss = Cdt(0.5).loss(None, make_run(counts=(16, 4)))  # temperatures 1 and 2
    found = loss(torch.tensor([[math.log(3), 0.], [0., 2 * math.log(3)]]), make_batch([0, 1]))
    assert found.tolist() == pytest.approx([math.log(4 / 3)] * 2)


def test_a_mixture_is_the_sum_of_its_parts(run):
    loss, plain = Cdt().loss(None, run), make_batch([0, 1])
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 0]]), torch.tensor([[.7, .3], [.4, .6]])), plain.rows)
    first, second = loss(LOGITS[:2], plain), loss(LOGITS[:2], make_batch([2, 0]))
    assert torch.allclose(loss(LOGITS[:2], mixed), torch.tensor([.7, .4]) * first + torch.tensor([.3, .6]) * second)


def test_refuses_a_negative_gamma():
    with pytest.raises(BundleError, match=r"cdt\.gamma: -0\.1 is not allowed; gamma must be >= 0"):
        Cdt(-0.1)

"""The tricks that take a seat where nothing else does: plain cross-entropy, order and rate."""
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.tricks.loss.cross_entropy import CrossEntropy
from autotricks.tricks.sampler.instance import Instance
from autotricks.tricks.schedule.constant import Constant
from tests.conftest import make_batch, make_run


def test_cross_entropy_by_hand():
    # e^0 : e^ln2 : e^ln5 is 1 : 2 : 5 of 8.
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]] * 3)
    found = CrossEntropy().loss(None, make_run())(logits, make_batch([0, 1, 2]))
    assert found.tolist() == pytest.approx([math.log(8), math.log(4), math.log(1.6)])


def test_a_mixture_is_what_torch_makes_of_soft_labels():
    logits, plain = torch.randn(2, 3), make_batch([0, 0])
    shares = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    mixed = Batch(plain.images, Targets(torch.tensor([[0, 2], [1, 2]]), shares), plain.rows)
    soft = torch.tensor([[0.3, 0.0, 0.7], [0.0, 1.0, 0.0]])
    found = CrossEntropy().loss(None, make_run())(logits, mixed)
    assert torch.allclose(found, cross_entropy(logits, soft, reduction="none"))


def test_an_epoch_is_every_image_once_in_an_order_of_its_own():
    order = Instance().sampler(None, make_run(counts=(60, 30, 10)))
    first, second = order(0.0), order(0.1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert first.tolist() != second.tolist() != sorted(first.tolist())


def test_the_rate_stays():
    assert [Constant().schedule(lambda progress: 0.5, make_run())(place) for place in (0.0, 0.4, 1.0)] == [0.5] * 3

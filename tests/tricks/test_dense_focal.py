import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from autotricks.core.batch import Batch
from autotricks.core.dense import Dense
from autotricks.functional.assignment import with_places
from autotricks.tricks.loss.center_sampling import CenterSampling
from autotricks.tricks.loss.dense_focal import DenseFocal, dense_focal
from tests.tricks.dense import CLASSES, pieces, said, scenes


def test_the_focal_loss_is_torchvisions_where_shares_are_0_and_1():
    batch, output = scenes(), said()
    targets = with_places(batch, output.places[0], 1.5).targets
    wanted = F.one_hot(targets.labels, CLASSES) * targets.shares.unsqueeze(2)
    theirs = sigmoid_focal_loss(output.logits, wanted, 0.3, 1.5, reduction="none").sum((1, 2))
    ours = dense_focal(output.logits, targets.labels, targets.shares, 1.5, 0.3)
    assert 5 < targets.shares.sum() < targets.shares.numel() and torch.allclose(ours, theirs, rtol=1e-5)


def test_without_focus_it_is_binary_cross_entropy():
    logits = torch.randn(2, 5, CLASSES, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, 2, 0, 1]]).expand(2, -1)
    shares = torch.tensor([[1.0, 0, 1, 0, 0]]).expand(2, -1)
    wanted = F.one_hot(labels, CLASSES) * shares.unsqueeze(2)
    expected = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum((1, 2)) / 2
    assert torch.allclose(dense_focal(logits, labels, shares, 0.0, 0.5), expected)


def test_an_object_counts_by_its_share():
    """Its own class by its share, where nothing is asked of that class then; all others as they do without it."""
    logits = torch.randn(1, 1, CLASSES, generator=torch.Generator().manual_seed(0))

    def loss(share):
        return float(dense_focal(logits, torch.tensor([[1]]), torch.tensor([[share]]), 2.0, 0.25))
    others = float(sigmoid_focal_loss(logits[..., [0, 2]], torch.zeros(1, 1, 2), 0.25, 2.0).sum())
    own = float(sigmoid_focal_loss(logits[..., [1]], torch.ones(1, 1, 1), 0.25, 2.0).sum())
    assert [loss(1.0), loss(0.4)] == pytest.approx([others + own, others + 0.4 * own])


def whole_loss(run):
    return CenterSampling().loss(DenseFocal().loss(None, run), run)


def test_its_mean_is_that_over_the_objects_places(run):
    batch, output = scenes(), said()
    targets = with_places(batch, output.places[0], 1.5).targets
    focal = dense_focal(output.logits, targets.labels, targets.shares, 2.0, 0.25).sum()
    low = output.places[..., :2] - targets.boxes[..., :2]
    high = targets.boxes[..., 2:] - output.places[..., :2]
    there = targets.shares > 0
    ratios = (torch.minimum(low, high) / torch.maximum(low, high))[there]
    middle = F.binary_cross_entropy_with_logits(output.centerness[there], ratios.prod(1).sqrt(), reduction="sum")
    expected = float((focal + middle) / there.sum())
    assert float(whole_loss(run)(output.output(), batch).mean()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_pieces_of_a_batch_have_its_loss(run, parts):
    batch, output, loss = scenes(), said().output(), whole_loss(run)
    cut = torch.cat([loss(part, piece) for piece, part in pieces(batch, output, parts)])
    assert torch.allclose(loss(output, batch), cut, rtol=1e-5)


def test_images_without_objects_have_a_finite_loss(run):
    last = scenes().split(4)[-1]
    alone = whole_loss(run)(said().output()[-1:], Batch(last.images, last.targets, last.rows))
    assert float(last.targets.shares.sum()) == 0
    assert bool(alone.isfinite().all()) and float(alone) > 0


def test_mixing_adds_up_what_both_images_have(run):
    """Where objects of two images have places of their own, the loss of the mixture's objects is linear in shares."""
    batch, output = scenes(), said()
    logits = torch.full_like(output.logits, -30.0)      # what is not there costs nothing
    flat = Dense(logits, output.centerness, output.boxes, output.places).output()
    partner = torch.tensor([3, 2, 1, 0])
    pair = Batch(batch.images, batch.targets.blend(partner, torch.tensor([0.7])), batch.rows)
    targets = with_places(pair, output.places[0], 1.5).targets
    shares = sorted({round(share, 4) for share in targets.shares.flatten().tolist()})
    assert shares == [0.0, 0.3, 0.7]
    own = DenseFocal().loss(None, run)(flat, with_places(pair, output.places[0], 1.5))
    by_share = (30 * 0.25 * targets.shares).sum(1)      # alpha * -log p
    low = output.places[..., :2] - targets.boxes[..., :2]
    high = targets.boxes[..., 2:] - output.places[..., :2]
    ratios = torch.minimum(low, high).clamp(min=0) / torch.maximum(low, high)
    middle = ratios.prod(2).sqrt().where(targets.shares > 0, 0)
    by_share += (F.binary_cross_entropy_with_logits(output.centerness, middle, reduction="none")
                 * targets.shares).sum(1)
    assert torch.allclose(own, by_share * len(batch) / targets.shares.sum(), rtol=1e-4)

"""The losses of the tricks `iou`, `giou` and `ciou`."""
import math

import pytest
import torch
from torchvision.ops import complete_box_iou_loss, generalized_box_iou_loss

from autotricks.core.dense import Dense
from autotricks.functional.assignment import with_places
from autotricks.functional.box_losses import ciou_loss, giou_loss, iou_loss, smallness, with_boxes
from autotricks.functional.boxes import overlap
from autotricks.testing import Waiting
from tests.tricks.dense import SIDE, pieces, said, scenes


def boxes(count=500, seed=0):
    """Pairs of boxes of which some overlap, some do not."""
    chance = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, count, 2, generator=chance) * 20
    return torch.cat([corners, corners + 1 + torch.rand(2, count, 2, generator=chance) * 20], 2)


@pytest.mark.parametrize(("ours", "theirs"), [
    (giou_loss, generalized_box_iou_loss), (ciou_loss, complete_box_iou_loss)])
def test_losses_and_gradients_are_torchvisions(ours, theirs):
    pairs = boxes()
    values, slopes = [], []
    for loss in (ours, theirs):
        found = pairs[0].clone().requires_grad_()
        values.append(loss(found, pairs[1]))
        values[-1].sum().backward()
        slopes.append(found.grad)
    assert bool((overlap(*pairs) == 0).any()) and bool((overlap(*pairs) > 0.5).any())
    assert torch.allclose(*values, atol=1e-5) and torch.allclose(*slopes, atol=1e-5)


def test_the_logarithm_of_known_overlaps():
    true = torch.tensor([[0., 0, 4, 4]]).expand(3, 4)
    found = torch.tensor([[0., 0, 4, 4], [0, 0, 2, 4], [2, 0, 6, 4]])     # all of it, a half, a third
    assert iou_loss(found, true).tolist() == pytest.approx([0, math.log(2), math.log(3)], abs=1e-6)


@pytest.mark.parametrize("loss", [iou_loss, giou_loss, ciou_loss])
def test_descent_goes_to_the_true_box(loss):
    true = torch.tensor([[8., 8, 24, 20]])
    found = torch.tensor([[10., 4, 30, 18]], requires_grad=True)
    for step in range(200):
        slope, = torch.autograd.grad(loss(found, true).sum(), found)
        found.data -= 0.5 * (1 - step / 200) * slope.sign()
    assert float(overlap(found.detach(), true)) > 0.98


@pytest.mark.parametrize("loss", [iou_loss, giou_loss, ciou_loss])
def test_boxes_without_an_area_have_finite_gradients(loss):
    found = torch.tensor([[4., 4, 4, 4], [0, 0, 0, 8], [9, 9, 9, 9]], requires_grad=True)
    true = torch.tensor([[4., 4, 4, 4], [0, 0, 4, 8], [0, 0, 2, 2]])
    losses = loss(found, true)
    losses.sum().backward()
    assert bool(losses.isfinite().all()) and bool(found.grad.isfinite().all())


def test_small_boxes_count_up_to_twice_as_much():
    sides = torch.tensor([[0., 0, 40, 20], [0, 0, 20, 20], [5, 5, 5, 5]])       # all, a half, a dot of 40 x 20
    assert smallness(sides, (20, 40)).tolist() == [1.5, 2.25, 3.0]


@pytest.mark.parametrize("small", [False, True])
def test_the_mean_over_places_weighed_by_centerness(small):
    """Written out for one image after the other, place by place."""
    batch, output = scenes(), said()
    placed = with_places(batch, output.places[0], 1.5)
    losses = with_boxes(lambda output, batch: torch.zeros(len(batch)), giou_loss, 2.0, small)(output.output(), placed)
    total = 0.0
    parts = [0.0] * len(batch)
    for image in range(len(batch)):
        for place, share in enumerate(placed.targets.shares[image].tolist()):
            true = placed.targets.boxes[image, place]
            x, y, _ = output.places[image, place].tolist()
            left, top, right, bottom = true.tolist()
            if not share:
                continue
            middle = math.sqrt(min(x - left, right - x) / max(x - left, right - x)
                               * min(y - top, bottom - y) / max(y - top, bottom - y))
            wide = 1.5 * (2 - (right - left) * (bottom - top) / SIDE ** 2) if small else 1.0
            apart = float(generalized_box_iou_loss(output.boxes[image, place], true))
            parts[image] += middle * wide * apart
            total += middle
    assert total > 5
    assert losses.tolist() == pytest.approx([2 * len(batch) * part / total for part in parts], rel=1e-4)
    assert losses[-1] == 0      # no object is in the last


def test_all_places_are_compared_where_the_device_would_be_waited_for():
    """It is the same loss, of which a CPU computes the part that counts alone."""
    batch, output = scenes(), said()
    placed = with_places(batch, output.places[0], 1.5)
    sizes = []

    def counted(found, true):
        sizes.append(len(found))
        return giou_loss(found, true)
    loss = with_boxes(lambda output, batch: torch.zeros(len(batch)), counted, 1.0)
    here = loss(output.output(), placed)
    with Waiting() as waiting:
        elsewhere = loss(output.output(), placed)
    assert torch.allclose(here, elsewhere, rtol=1e-5) and waiting.calls == []
    assert sizes == [int((placed.targets.shares > 0).sum()), placed.targets.shares.numel()]


@pytest.mark.parametrize("parts", [2, 4])
def test_pieces_of_a_batch_have_its_loss(parts):
    batch, output = scenes(), said().output()
    loss = with_boxes(lambda output, batch: torch.zeros(len(batch)), ciou_loss, 1.0)

    def placed(output, batch):
        return loss(output, with_places(batch, Dense.of(output).places[0], 1.5))
    whole = placed(output, batch)
    cut = torch.cat([placed(part, piece) for piece, part in pieces(batch, output, parts)])
    assert float(whole.sum()) > 0 and torch.allclose(whole, cut, rtol=1e-5)

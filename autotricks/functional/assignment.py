"""Assignment: from the objects of an image to the places of a detector that are to find them."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.targets import Targets
from .boxes import area

PER_STRIDE = 6.0        # longer sides of boxes are given to the level whose stride is nearest a sixth of them


def center_sampled(targets: Targets, places: Tensor, radius: float) -> Targets:
    """Return for each place the object that it is to find; the smallest of several, with a share of 0 where none.

    A place is given an object if it lies in its box, no more than `radius` strides from its middle, and on the level
    for its size.

    Shapes:
        targets: of B images with K boxes each.
        places: [A, 3], x, y and stride.
        returns: of B images with A places each.
    """
    boxes = targets.boxes
    assert boxes is not None, "objects have boxes"
    x, y, stride = (column[None, :, None] for column in places.unbind(1))            # [1, A, 1]
    left, top, right, bottom = (edge.unsqueeze(1) for edge in boxes.unbind(2))       # [B, 1, K]
    width = right - left
    height = bottom - top
    reach = radius * stride
    near = (x - (left + right) / 2).abs() < torch.minimum(width / 2, reach)          # [B, A, K]
    near &= (y - (top + bottom) / 2).abs() < torch.minimum(height / 2, reach)
    longer = torch.maximum(width, height).clamp(min=1)
    away = (longer.log2() - (PER_STRIDE * stride).log2()).abs()
    nearest = away == away.amin(1, keepdim=True)
    near &= stride == torch.where(nearest, stride, torch.inf).amin(1, keepdim=True)  # the smaller of two as near
    counted = torch.where(targets.shares > 0, area(boxes), torch.inf).unsqueeze(1)
    size = torch.where(near, counted, torch.inf)
    smallest, chosen = size.min(2)
    there = smallest < torch.inf
    return Targets(targets.labels.gather(1, chosen), targets.shares.gather(1, chosen) * there,
                   boxes.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 4)))


def with_places(batch: Batch, places: Tensor, radius: float) -> Batch:
    """Return a batch whose targets are those of the places of a detector, its whole batch's too.

    Shapes:
        places: [A, 3].
    """
    targets = center_sampled(batch.targets, places, radius)
    if batch.whole is batch:
        return replace(batch, targets=targets)
    whole = replace(batch.whole, targets=center_sampled(batch.whole.targets, places, radius))
    return replace(batch, targets=targets, parent=whole)


def per_place(losses: Tensor, batch: Batch) -> Tensor:
    """Return the loss of each image, so that its mean over the images is that over the objects' places.

    Shapes:
        losses: [B].
        returns: [B].
    """
    return losses * (len(batch.whole) / batch.whole.targets.shares.sum().clamp(min=1))


def middles(targets: Targets, places: Tensor) -> Tensor:
    """Return how near to the middle of its object each place is, [B, A]; see `centerness`.

    Shapes:
        targets: of B images with A places.
        places: [A, 3].
    """
    assert targets.boxes is not None, "objects have boxes"
    return centerness(targets.boxes, places[:, :2])


def centerness(boxes: Tensor, points: Tensor) -> Tensor:
    """Return how near to the middle of its box each point is, 1 in the middle and 0 at an edge.

    Paper: Tian et al. 2019, https://arxiv.org/abs/1904.01355, equation 3.

    Shapes:
        boxes: [..., 4].
        points: [..., 2], x and y.
        returns: [...].
    """
    low = points - boxes[..., :2]
    high = boxes[..., 2:] - points
    ratio = torch.minimum(low, high).clamp(min=0) / torch.maximum(low, high).clamp(min=1e-6)
    return ratio.prod(-1).sqrt()

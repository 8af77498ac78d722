"""Boxes: left, top, right and bottom in pixels, their areas and overlaps."""
from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Return the area of each box; [..., 4] to [...]. A box whose edges have changed sides has none."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)


def intersection(left: Tensor, right: Tensor) -> Tensor:
    """Return the area that each two boxes share, [...]; boxes are [..., 4] and may be broadcast."""
    low = torch.maximum(left[..., :2], right[..., :2])
    high = torch.minimum(left[..., 2:], right[..., 2:])
    return (high - low).clamp(min=0).prod(-1)


def overlap(left: Tensor, right: Tensor) -> Tensor:
    """Return the intersection of each two boxes over their union, [...], in [0, 1]; 0 for two without an area."""
    shared = intersection(left, right)
    union = area(left) + area(right) - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).eps)

"""Boxes: left, top, right and bottom in pixels, their areas and overlaps."""
from __future__ import annotations

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """Return the area of each box; [..., 4] to [...]. A box whose edges have changed sides has none."""
    left, top, right, bottom = boxes.unbind(-1)
    return (right - left).clamp(min=0) * (bottom - top).clamp(min=0)


def intersection(one: Tensor, other: Tensor) -> Tensor:
    """Return the area that each two boxes share, [...]; boxes are [..., 4] and may be broadcast."""
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    width, height = (high - low).clamp(min=0).unbind(-1)
    return width * height


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """Return the intersection of each two boxes over their union, [...], in [0, 1]; 0 for two without an area."""
    shared = intersection(one, other)
    union = area(one) + area(other) - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).eps)


def hull(one: Tensor, other: Tensor) -> Tensor:
    """Return the smallest box around each two, [..., 4]; boxes are [..., 4] and may be broadcast."""
    low = torch.minimum(one[..., :2], other[..., :2])
    high = torch.maximum(one[..., 2:], other[..., 2:])
    return torch.cat([low, high], -1)


def within(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return the parts of boxes, [..., 4], that lie in an image."""
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack([left.clamp(0, width), top.clamp(0, height), right.clamp(0, width), bottom.clamp(0, height)], -1)


def small_alone(boxes: Tensor, shares: Tensor, largest: float) -> Tensor:
    """Return which objects have no more than `largest` pixels and share none with another, [B, K] bool.

    Shapes:
        boxes: [B, K, 4].
        shares: [B, K].
    """
    itself = torch.eye(boxes.shape[1], dtype=torch.bool, device=boxes.device)
    shared = intersection(boxes.unsqueeze(2), boxes.unsqueeze(1)).masked_fill(itself, 0).amax(2)
    size = area(boxes)
    return (shares > 0) & (size > 0) & (size <= largest) & (shared == 0)

"""Losses of boxes: what the tricks that compare edges have in common."""
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.dense import Dense
from ..core.slots import Loss
from .assignment import middles
from .boxes import area, hull, intersection, overlap

Distance = Callable[[Tensor, Tensor], Tensor]       # boxes found and true ones, both [N, 4] -> losses [N]


TINY = 1e-7     # of an overlap, a side or an area


def iou_loss(found: Tensor, true: Tensor) -> Tensor:
    """Return -ln IoU of each two boxes, 0 where they are the same and 16 where they do not meet.

    Paper: Yu et al. 2016, https://arxiv.org/abs/1608.01471, section 3.

    Shapes:
        found: [N, 4].
        true: [N, 4].
        returns: [N].
    """
    return -overlap(found, true).clamp(min=TINY).log()


def giou_loss(found: Tensor, true: Tensor) -> Tensor:
    """Return 1 - GIoU of each two boxes, in [0, 2]. Torchvision's own reads a mask off the device.

    Paper: Rezatofighi et al. 2019, https://arxiv.org/abs/1902.09630, algorithm 1.

    Shapes:
        found: [N, 4].
        true: [N, 4].
        returns: [N].
    """
    union = area(found) + area(true) - intersection(found, true)
    around = area(hull(found, true))
    return 1 - overlap(found, true) + (around - union) / around.clamp(min=TINY)


def ciou_loss(found: Tensor, true: Tensor) -> Tensor:
    """Return 1 - CIoU of each two boxes: their overlap, how far their middles are apart, and their shapes.

    Torchvision's own reads a mask off the device. As there, no gradient flows through the weight of the shapes.

    Paper: Zheng et al. 2020, https://arxiv.org/abs/1911.08287, equations 7 to 11.

    Shapes:
        found: [N, 4].
        true: [N, 4].
        returns: [N].
    """
    met = overlap(found, true)
    apart = ((found[..., :2] + found[..., 2:] - true[..., :2] - true[..., 2:]) / 2).square().sum(-1)
    around = hull(found, true)
    diagonal = (around[..., 2:] - around[..., :2]).square().sum(-1)
    shapes = 4 / math.pi ** 2 * (_slope(true) - _slope(found)).square()
    with torch.no_grad():
        share = shapes / (1 - met + shapes).clamp(min=TINY)
    return 1 - met + apart / diagonal.clamp(min=TINY) + share * shapes


def _slope(boxes: Tensor) -> Tensor:
    """Return the angle of each box's diagonal from the vertical."""
    width, height = (boxes[..., 2:] - boxes[..., :2]).unbind(-1)
    return (width / height.clamp(min=TINY)).atan()


def smallness(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (2 - w h) * 1.5 of each box, w and h its sides as parts of the image's: 1.5 for one as large, 3 for a dot.

    Args:
        boxes: In pixels.
        size: Height and width of the image.

    Shapes:
        boxes: [..., 4].
        returns: [...].
    """
    return 1.5 * (2 - area(boxes) / (size[0] * size[1]))


def with_boxes(inner: Loss, distance: Distance, weight: float, small: bool = False) -> Loss:
    """Return `inner` and the mean distance of boxes at the objects' places, weighed by centerness.

    Args:
        inner: Loss of what is there.
        distance: Of boxes.
        weight: Of the distance.
        small: Whether small objects count more; see `smallness`.
    """
    def both(output: Tensor, batch: Batch) -> Tensor:
        said = Dense.of(output)
        targets = batch.targets
        assert targets.boxes is not None, "objects have boxes"
        places = said.places[0]
        counted = targets.shares * middles(targets, places)
        whole = batch.whole.targets
        total = counted if batch.whole is batch else whole.shares * middles(whole, places)
        share = len(whole) / total.sum().clamp(min=1)
        if small:
            counted = counted * smallness(targets.boxes, (batch.images.shape[-2], batch.images.shape[-1]))
        chosen = compared(counted)
        apart = distance(said.boxes.flatten(0, 1)[chosen], targets.boxes.flatten(0, 1)[chosen])
        losses = counted.flatten().new_zeros(counted.numel())
        losses[chosen] = apart * counted.flatten()[chosen]
        return inner(output, batch) + weight * share * losses.view_as(counted).sum(1)
    return both


def compared(counted: Tensor) -> Tensor | slice:
    """Return which of all places have boxes to compare: of a CPU's those that count, which are few.

    Elsewhere all are compared: to find out which count, a step would wait for the device.

    Shapes:
        counted: [B, A].
    """
    return counted.flatten().nonzero().squeeze(1) if counted.is_cpu else slice(None)

"""From what a dense detector says of every place to the objects that it found."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.dense import Dense
from ...core.slots import Output
from ...core.task import Decoded

MOST = 100          # objects of an image, as COCO counts them
OBJECTS = Decoded("objects", ("left", "top", "right", "bottom", "probability", "class"),
                  "likeliest first; edges in pixels of the input; class counts from 0; rows of probability 0 are none")
UNDECIDED = 100     # images of which one may differ: two boxes overlap by just what suppression allows, or one did


def found(output: Output) -> Tensor:
    """Return the objects of each image, likeliest first.

    Boxes on one object are left out before, by a trick of the slot `predict`.

    Shapes:
        output: [B, A, C + 8].
        returns: [B, R, 6], R at most 100: left, top, right, bottom in pixels, probability, class; those of probability
            0 are none.
    """
    said = Dense.of(output)
    score, label = said.scores().max(2)
    best, order = score.topk(min(MOST, score.shape[1]), 1)
    boxes = said.boxes.gather(1, order.unsqueeze(2).expand(-1, -1, 4))
    return torch.cat([boxes, best.unsqueeze(2), label.gather(1, order).unsqueeze(2).float()], 2)


def apart(decoded: Tensor, other: Tensor) -> float:
    """Return how far the objects that two machines found lie apart.

    Rounding may turn the order of two that are as probable, and on which side of suppression's limit an overlap lies.
    So each object is held against the nearest of the other's, and of each 100 images the one that differs most is left
    out. Probabilities count as they are, edges as a share of the largest. An object that the other lacks counts by how
    much more probable it is than the least that the other has room for.

    Shapes:
        decoded: [B, R, 6].
        other: [B, R, 6].
    """
    extent = float(torch.cat([decoded, other])[..., :4].abs().max().clamp(min=1))
    worst = torch.stack([torch.maximum(_missed(one, two, extent), _missed(two, one, extent))
                         for one, two in zip(decoded, other, strict=True)])
    return float(worst.sort().values[-1 - len(worst) // UNDECIDED])


def _missed(rows: Tensor, others: Tensor, extent: float) -> Tensor:
    """Return how far the objects of an image lie from the nearest of the other's at most, both [R, 6]."""
    scale = rows.new_tensor([1 / extent] * 4 + [1.0, 1.0])      # another class is as far as can be
    nearest = ((rows[:, None] - others[None]) * scale).abs().amax(2).amin(1)
    return nearest.minimum((rows[:, 4] - others[:, 4].min()).clamp(min=0)).max()

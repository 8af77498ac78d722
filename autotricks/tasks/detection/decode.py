"""From what a dense detector says of every place to the objects that it found."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.dense import Dense
from ...core.slots import Output

MOST = 100          # objects of an image, as COCO counts them


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

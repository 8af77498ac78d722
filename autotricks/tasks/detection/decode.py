"""From what a dense detector says of every place to the objects that it found."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.slots import Output
from ...models.dense import EXTRA

MOST = 100          # objects of an image, as COCO counts them
LOOKED = 400        # places of an image that are looked at, the likeliest
LEAST = 0.05        # probability below which nothing is found
OVERLAP = 0.6       # IoU from which on the less likely of two boxes of a class is left out


def split(output: Output) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logits [B, A, C], centerness [B, A], boxes [B, A, 4] and places [B, A, 3] of an output [B, A, C + 8]."""
    classes = output.shape[-1] - EXTRA
    logits, centerness, boxes, places = output.split([classes, 1, 4, 3], -1)
    return logits, centerness.squeeze(-1), boxes, places


def found(output: Output) -> Tensor:
    """Return the objects of each image, likeliest first, after those that lie over a likelier one are left out.

    Shapes:
        output: [B, A, C + 8].
        returns: [B, 100, 6]: left, top, right, bottom in pixels, probability, class; rows of probability 0 are none.
    """
    from torchvision.ops import batched_nms

    logits, centerness, boxes, _ = split(output.float())
    scores = (logits.sigmoid() * centerness.sigmoid().unsqueeze(-1)).sqrt()
    result = output.new_zeros(len(output), MOST, 6, dtype=torch.float32)
    classes = scores.shape[-1]
    likeliest, order = scores.flatten(1).topk(min(LOOKED, scores[0].numel()), 1)
    for image in range(len(output)):
        kept = likeliest[image] > LEAST
        score = likeliest[image][kept]
        place = order[image][kept]
        label = place % classes
        box = boxes[image][place // classes]
        chosen = batched_nms(box, score, label, OVERLAP)[:MOST]
        result[image, :len(chosen)] = torch.cat(
            [box[chosen], score[chosen, None], label[chosen, None].float()], 1)
    return result

"""What a dense detector says, in one tensor: at each place what is there, where its edges are, how near its middle.

An output is [B, A, C + 8]: C logits of classes; the logit of the centerness; left, top, right and bottom of a box in
pixels; x, y and stride of the place.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .slots import Output

EXTRA = 8       # values of a place beside its classes


@dataclass(frozen=True, eq=False)
class Dense:
    """The parts of an output.

    Shapes:
        logits: [B, A, C].
        centerness: [B, A], logits.
        boxes: [B, A, 4], left, top, right, bottom in pixels.
        places: [B, A, 3], x, y and stride in pixels.
    """

    logits: Tensor
    centerness: Tensor
    boxes: Tensor
    places: Tensor

    @classmethod
    def of(cls, output: Output) -> Dense:
        """Return the parts of an output, [B, A, C + 8], in float32."""
        logits, centerness, boxes, places = output.float().split([output.shape[-1] - EXTRA, 1, 4, 3], -1)
        return cls(logits, centerness.squeeze(-1), boxes, places)

    def output(self) -> Output:
        """Return the parts as one tensor, [B, A, C + 8]."""
        return torch.cat([self.logits, self.centerness.unsqueeze(-1), self.boxes, self.places], -1)

    def scores(self) -> Tensor:
        """Return how probable an object of each class is, [B, A, C]: its probability times the centerness."""
        return self.logits.sigmoid() * self.centerness.sigmoid().unsqueeze(-1)


def grid(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """Return x, y and stride of each place of a level, [height * width, 3], row by row, as a tensor like another."""
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) * stride
    columns = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.full_like(x, stride)], 2).flatten(0, 1)

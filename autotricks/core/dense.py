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
        return cls(logits.contiguous(), centerness.squeeze(-1), boxes, places)   # what follows is vectorized so

    def output(self) -> Output:
        """Return the parts as one tensor, [B, A, C + 8]."""
        return torch.cat([self.logits, self.centerness.unsqueeze(-1), self.boxes, self.places], -1)

    def moved(self, across: tuple[float, float], down: tuple[float, float]) -> Dense:
        """Return the same with every point (x, y) at (a * x + b, c * y + d): mirrored where a or c is negative.

        Args:
            across: a and b.
            down: c and d.
        """
        left, top, right, bottom = self.boxes.unbind(-1)
        edges = [one * scale + shift for one, (scale, shift) in zip(
            (left, top, right, bottom), (across, down, across, down), strict=True)]
        low = [torch.minimum(edges[axis], edges[axis + 2]) for axis in (0, 1)]
        high = [torch.maximum(edges[axis], edges[axis + 2]) for axis in (0, 1)]
        x, y, stride = self.places.unbind(-1)
        places = [x * across[0] + across[1], y * down[0] + down[1], stride * abs(across[0])]
        return Dense(self.logits, self.centerness, torch.stack([*low, *high], -1), torch.stack(places, -1))

    def scores(self) -> Tensor:
        """Return how probable an object of each class is, [B, A, C]: its probability times the centerness."""
        return self.logits.sigmoid() * self.centerness.sigmoid().unsqueeze(-1)


def grid(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """Return x, y and stride of each place of a level, [height * width, 3], row by row, as a tensor like another."""
    rows = (torch.arange(height, device=like.device, dtype=like.dtype) + 0.5) * stride
    columns = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) * stride
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.full_like(x, stride)], 2).flatten(0, 1)

"""Crop: shift each image by a few pixels."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.geometry import shift


def crop(images: Tensor, padding: int, down: Tensor, right: Tensor) -> Tensor:
    """Return the windows of the images' own size at (down, right) of the images padded with black.

    Shapes:
        images: [B, D, H, W].
        down: [B], int64, in [0, 2 * padding]; `padding` is the middle.
        right: [B], int64, likewise.
        returns: [B, D, H, W].
    """
    batch, depth, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    tops = torch.arange(batch * depth, device=images.device).view(batch, depth, 1) * padded.shape[2]
    rows = tops + down.view(-1, 1, 1) + torch.arange(height, device=images.device)
    starts = rows * padded.shape[3] + right.view(-1, 1, 1)
    lines = padded.flatten().unfold(0, width, 1)  # a view; whole lines are copied twice as fast as single pixels
    return lines.index_select(0, starts.flatten()).view_as(images)


class Crop(Trick):
    """Pad each image with `padding` black pixels on every side and cut its own size out at a random place.

    Every sample has its own place, each of the (2 * padding + 1)^2 alike.

    Paper: He et al. 2016, https://arxiv.org/abs/1512.03385, section 4.2.
    Cost: one copy of the padded images.
    """

    seats = {Slot.AUGMENT: "crop"}
    padding: int = tunable(4, search=Choice(1, 2, 4), legal=at_least(0), unit="pixels")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what cuts each image of a batch out anew."""
        def shifted(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            down, right = torch.randint(2 * self.padding + 1, (2, len(images)), generator=run.generator,
                                        device=run.device)
            return batch.moved(crop(images, self.padding, down, right),
                               lambda: shift(self.padding - right, self.padding - down))
        return shifted

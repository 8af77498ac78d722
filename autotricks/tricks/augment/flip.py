"""Flip: mirror half of the images."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.geometry import mirror


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Return the images, the chosen ones mirrored left to right.

    Shapes:
        images: [B, D, H, W].
        chosen: [B], bool.
    """
    return images.flip(3).lerp_(images, (~chosen).to(images.dtype).view(-1, 1, 1, 1))     # all of one, or of the other


class Flip(Trick):
    """Mirror each image left to right with probability 1/2.

    Leave it out where left and right mean something: digits, letters, road signs.

    Paper: He et al. 2016, https://arxiv.org/abs/1512.03385, section 4.2.
    Cost: one copy of the images.
    """

    seats = {Slot.AUGMENT: "flip"}

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what mirrors each image of a batch or not."""
        def mirrored(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            chosen = torch.rand(len(images), generator=run.generator, device=run.device) < 0.5
            return batch.moved(flip(images, chosen), lambda: mirror(chosen, images.shape[3]))
        return mirrored

"""Quarter turns: turn each image by a random number of right angles."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.geometry import quarter_turn


def turned(images: Tensor, quarters: Tensor) -> Tensor:
    """Return the images turned counter-clockwise; images that are not square must be turned by even numbers.

    Shapes:
        images: [B, D, H, W].
        quarters: [B], int64, in [0, 4).
    """
    quarters = quarters.view(-1, 1, 1, 1)
    images = torch.where(quarters >= 2, images.flip(2, 3), images)
    if images.shape[2] != images.shape[3]:
        return images
    return torch.where(quarters % 2 == 1, images.rot90(1, (2, 3)), images)


def _matrices(quarters: Tensor, height: int, width: int) -> Tensor:
    return quarter_turn(quarters if height == width else quarters // 2 * 2, height, width)


class QuarterTurns(Trick):
    """Turn each image by 0, 90, 180 or 270 degrees, each as likely.

    For images without an upright: microscopy, aerial photographs, textures. Beside `flip` each of the eight symmetries
    of the square is as likely. Images that are not square are turned by 0 or 180 degrees.

    Paper: Dieleman et al. 2016, https://arxiv.org/abs/1602.02660, on data augmentation by cyclic rotation.
    Cost: two copies of the images.
    """

    seats = {Slot.AUGMENT: "flip"}

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what turns each image of a batch."""
        def rotated(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            quarters = torch.randint(4, (len(images),), generator=run.generator, device=run.device)
            return batch.moved(turned(images, quarters), lambda: _matrices(quarters, *images.shape[2:]))
        return rotated

"""GridMask: drop squares in a regular grid."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick


def grid(period: Tensor, kept: Tensor, offsets: Tensor, angles: Tensor, size: tuple[int, int]) -> Tensor:
    """Return what a grid keeps: two sets of parallel stripes at right angles; between them squares are dropped.

    Args:
        period: From one stripe to the next, in pixels.
        kept: Width of a stripe.
        offsets: Of the stripes of either set, as a share of the period.
        angles: By which the grid is turned about the image's middle, in radians.
        size: Height and width of the image.

    Shapes:
        period: [B].
        kept: [B].
        offsets: [2, B].
        angles: [B].
        returns: [B, H, W], bool.
    """
    down, along = (torch.arange(side, device=period.device) - (side - 1) / 2 for side in size)
    period, kept, first, second, angles = (value.view(-1, 1, 1) for value in (period, kept, *offsets, angles))
    x = along
    y = down.unsqueeze(1)
    across = (angles.cos() * x - angles.sin() * y).div(period).add(first).remainder(1)
    upright = (angles.sin() * x + angles.cos() * y).div(period).add(second).remainder(1)
    return torch.minimum(across, upright) * period < kept


class GridMask(Trick):
    """Fill squares that lie in a regular grid with the channel mean.

    An image's grid has a period of `shortest` to 1 times its shorter side, any offset and any angle. Stripes of `ratio`
    of the period, rounded up to whole pixels, are kept in both directions, so the share 1 - (1 - ratio)^2 of the image
    is, or a little more. An image gets a grid with a probability that grows from 0 evenly to `probability`, which it
    reaches when `ramp` of training is done. Objects of which less than a quarter is left to see are ignored.

    Paper: Chen et al. 2020, https://arxiv.org/abs/2001.04086, section 3; numbers as in the authors' code for ImageNet,
        https://github.com/dvlab-research/GridMask.
    Cost: one pass over the pixels of one channel and one copy of the images.
    Deviates: A turned grid is computed for each pixel, not drawn and turned as a picture, and offsets are not whole
        pixels; with no angle both keep whole pixels. The probability grows from step to step, not by epochs. The code's
        zeros are channel means too: it masks after normalization.
    """

    seats = {Slot.AUGMENT: "erase"}
    ratio: float = tunable(0.6, search=Float(0.4, 0.7), legal=Between(0, 1), unit="of the period that is kept")
    probability: float = tunable(0.8, search=Float(0.5, 0.8), legal=Between(0, 1), unit="of an image to be masked")
    ramp: float = tunable(0.8, search=Choice(0.0, 0.8), legal=Between(0, 1), unit="fraction of training")
    shortest: float = tunable(3 / 7, search=Choice(3 / 7), legal=Between(0, 1, without=(0,)),
                              unit="fraction of the image's shorter side")
    rotates: bool = tunable(True, search=Choice(True, False))

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what masks some images of a batch."""
        side = min(run.image_shape[1:])
        least = max(1, round(self.shortest * side))
        turn = 2 * math.pi if self.rotates else 0.0
        widths = torch.tensor([math.ceil(period * self.ratio) for period in range(side + 1)], device=run.device)

        def masked(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            size = images.shape[2], images.shape[3]
            probability = self.probability * (min(1.0, run.progress / self.ramp) if self.ramp else 1.0)
            chances = torch.rand(4, len(images), generator=run.generator, device=run.device)
            period = torch.randint(least, max(least + 1, side), (len(images),), generator=run.generator,
                                   device=run.device)
            kept = grid(period, widths[period], chances[:2], chances[2] * turn, size)
            kept = kept | (chances[3] >= probability).view(-1, 1, 1)
            return batch.erased(torch.where(kept.unsqueeze(1), images, run.mean), lambda: ~kept)
        return masked

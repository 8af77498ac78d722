"""Mosaic: put four images together in one."""
from __future__ import annotations

from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.constants import constants
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.targets import Targets
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.windows import corners, stitched


def mosaic(batch: Batch, partners: Tensor, scales: Tensor, middles: Tensor) -> Batch:
    """Return mosaics of four images each, with the objects of all four.

    Args:
        batch: Of images with boxes.
        partners: Which image is upper left, upper right, lower left and lower right.
        scales: Of the four images of each mosaic.
        middles: x and y of where the four meet, in pixels.

    Shapes:
        batch: of B images with K places each.
        partners: [4, B], int64.
        scales: [B], in [0.5, 1].
        middles: [B, 2], from (1 - scale) to scale of the sides.
        returns: of B images with 4K places each.
    """
    height, width = batch.images.shape[2:]
    matrices = corners(scales, middles, width, height)
    parts = [batch.targets[partner].warped(matrix, (height, width))
             for partner, matrix in zip(partners, matrices, strict=True)]
    images = stitched(batch.images, partners, scales, middles)
    return replace(batch, images=images, targets=reduce(Targets.joined, parts))


class Mosaic(Trick):
    """Show four images of the batch at once, which meet at a random point and are cut at the border.

    All four are scaled alike, uniformly from `smallest` to 1; at one half they are seen whole, at 1 in their own size
    and cut the more. The point lies anywhere where they leave no gap. An object keeps its box as long as a quarter of
    it is left. Objects come in other surroundings and smaller, and batch norm sees more images; but what is cut and
    crowded is not what is found later: let it end before training does, with `stop: 0.9`, as Ge et al. 2021 (YOLOX),
    https://arxiv.org/abs/2107.08430, section 2.1, and Lyu et al. 2022 (RTMDet), https://arxiv.org/abs/2212.07784, do.

    Paper: Bochkovskiy et al. 2020, https://arxiv.org/abs/2004.10934, section 3.3; whole images of half the size are
        those of Chen et al. 2020, https://arxiv.org/abs/2004.12432.
    Cost: one sampling of the images; four times the places for boxes.
    Deviates: The four are scaled alike and never stretched; in the paper's code each is jittered by itself.
    """

    seats = {Slot.AUGMENT: "compose"}
    requires_data = frozenset({DataTrait.BOXES})
    smallest: float = tunable(0.5, search=Choice(0.5, 0.75, 1.0), legal=Between(0.5, 1), unit="times an image's side")
    probability: float = tunable(1.0, search=Float(0.3, 1.0), legal=Between(0, 1), unit="of an image to be a mosaic")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what makes mosaics of a batch."""
        def together(batch: Batch) -> Batch:
            batch = inner(batch)
            count = len(batch)
            orders = torch.rand(3, count, generator=run.generator, device=run.device).argsort(1)
            partners = torch.cat([torch.arange(count, device=run.device).unsqueeze(0), orders])
            scale, chosen, *place = torch.rand(4, count, generator=run.generator, device=run.device)
            composed = chosen < self.probability
            # an image that is to stay is the upper left one, in its own size, and meets the others at its lower right
            scales = torch.where(composed, self.smallest + (1 - self.smallest) * scale, 1.0)
            shares = (1 - scales).lerp(scales, torch.where(composed, torch.stack(place), 1.0)).T
            sides = constants((batch.images.shape[3], batch.images.shape[2]), shares)
            return mosaic(batch, partners, scales, shares * sides)
        return together

"""Cutout: blot a square out of each image."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.sampling import spans


class Cutout(Trick):
    """Fill a square of each image with the channel mean; its center is any pixel, and it is clipped at the border.

    Every sample has its own square. Its side is `size` times the shorter side of the image, at least one pixel. Objects
    of which it leaves less than a quarter to see are ignored.

    Paper: DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552, section 3.
    Cost: one copy of the images.
    Deviates: An odd side is kept, where the authors' code makes it even. The paper's zeros are channel means too: it
        fills after normalization.
    """

    seats = {Slot.AUGMENT: "erase"}
    size: float = tunable(0.5, search=Float(0.125, 0.75), legal=Between(0, 1, without=(0,)),
                          unit="fraction of the image's shorter side")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what blots a square out of each image of a batch."""
        def blotted(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            height, width = images.shape[-2:]
            side = max(1, round(self.size * min(height, width)))
            rows = torch.randint(height, (len(images),), generator=run.generator, device=run.device)
            columns = torch.randint(width, (len(images),), generator=run.generator, device=run.device)
            inside = spans(rows, side, height).unsqueeze(2) & spans(columns, side, width).unsqueeze(1)
            return batch.erased(torch.where(inside.unsqueeze(1), run.mean, images), lambda: inside)
        return blotted

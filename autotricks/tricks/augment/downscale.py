"""Downscale: lose resolution, as pictures from the web have."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.resizing import coarsening, separately


class Downscale(Trick):
    """Shrink some images and enlarge them again to the size that they had.

    The side that an image is shrunk to is uniform over the whole pixels from `smallest` of the image's side to all of
    it; both sides shrink alike. Shrinking averages, enlarging is bilinear.

    Paper: random quality in Wei et al. 2020, https://arxiv.org/abs/2012.14672, where images of 380 pixels were shrunk
        to 150 to 190. `jpeg` beside it is the other half.
    Cost: two matrix products an image; a table of (1 - smallest) times the third power of the side.
    """

    seats = {Slot.AUGMENT: "quality"}
    smallest: float = tunable(0.4, search=Float(0.25, 0.8), legal=Between(0, 1, without=(0,)),
                              unit="fraction of the image's side")
    probability: float = tunable(0.3, search=Float(0.1, 0.5), legal=Between(0, 1), unit="of an image to be shrunk")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what makes some images of a batch coarser."""
        height, width = run.image_shape[1:]
        rows, columns = (coarsening(side, max(1, round(self.smallest * side)), run.device) for side in (height, width))

        def coarse(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            chosen, scale = torch.rand(2, len(images), generator=run.generator, device=run.device)
            taken = ((scale * len(table)).long() for table in (rows, columns))
            lower = separately(images, *(table[index] for table, index in zip((rows, columns), taken, strict=True)))
            return batch.painted(torch.where((chosen < self.probability).view(-1, 1, 1, 1), lower, images))
        return coarse

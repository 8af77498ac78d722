"""Scale and paste: shrink each image and put it somewhere on an empty canvas."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.geometry import stretch
from ...functional.resizing import separately, shrinking

_MANY = 2**62  # so many outcomes that a remainder is uniform to one part in 10^12


def moved(matrices: Tensor, lengths: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matrices with their first rows moved down, and which rows these have become.

    Shapes:
        matrices: [B, S, S], of which the first `lengths` rows are moved.
        lengths: [B], int64.
        offsets: [B], int64.
        returns: [B, S, S] and [B, S], bool.
    """
    source = torch.arange(matrices.shape[1], device=matrices.device) - offsets.unsqueeze(1)
    filled = (source >= 0) & (source < lengths.unsqueeze(1))
    rows = matrices.gather(1, source.clamp(min=0).unsqueeze(2).expand_as(matrices))
    return rows * filled.unsqueeze(2), filled


def shrunk(chosen: Tensor, lengths: list[Tensor], corners: list[Tensor], sides: tuple[int, int]) -> Tensor:
    """Return where points go: shrunk and pasted in the chosen images, nowhere else in the others.

    Args:
        chosen: Which images are shrunk.
        lengths: Of the sides of the shrunk images.
        corners: Pixels above and left of the shrunk image.
        sides: Of an image.

    Shapes:
        chosen: [B], bool.
        lengths: [B] and [B], of height and width.
        corners: [B] and [B].
        returns: [B, 2, 3].
    """
    inside = chosen.unsqueeze(1)
    scales = torch.stack([lengths[1] / sides[1], lengths[0] / sides[0]], 1)
    shifts = torch.stack([corners[1], corners[0]], 1).float()
    return stretch(torch.where(inside, scales, 1.0), torch.where(inside, shifts, 0.0))


class ScalePaste(Trick):
    """Shrink some images and paste each at a random place of a canvas of the size that it had, in the channel mean.

    The side of the shrunk image is uniform over the whole pixels from `smallest` of the image's side to all of it; both
    sides shrink alike. Objects come to be smaller and anywhere.

    Paper: random scale and paste in Wei et al. 2020, https://arxiv.org/abs/2012.14672; zooming out in Liu et al. 2016,
        https://arxiv.org/abs/1512.02325, section 3.6.
    Cost: two matrix products an image; a table of (1 - smallest) times the third power of the side.
    """

    seats = {Slot.AUGMENT: "flip"}
    smallest: float = tunable(0.5, search=Float(0.4, 0.9), legal=Between(0, 1, without=(0,)),
                              unit="fraction of the image's side")
    probability: float = tunable(0.5, search=Float(0.1, 1.0), legal=Between(0, 1), unit="of an image to be shrunk")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what shrinks and pastes some images of a batch."""
        sides = run.image_shape[1:]
        least = [max(1, round(self.smallest * side)) for side in sides]
        tables = [shrinking(side, first, run.device) for side, first in zip(sides, least, strict=True)]

        def pasted(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            chosen, scale = torch.rand(2, len(images), generator=run.generator, device=run.device)
            offsets = torch.randint(_MANY, (2, len(images)), generator=run.generator, device=run.device)
            indices = [(scale * len(table)).long() for table in tables]
            lengths = [index + first for index, first in zip(indices, least, strict=True)]
            corners = [offset % (side + 1 - length)
                       for offset, side, length in zip(offsets, sides, lengths, strict=True)]
            parts = zip(tables, indices, lengths, corners, strict=True)
            matrices, filled = zip(*(moved(table[index], length, corner) for table, index, length, corner in parts))
            inside = (filled[0].unsqueeze(2) & filled[1].unsqueeze(1)).unsqueeze(1)
            small = torch.where(inside, separately(images, *matrices), run.mean)
            shrinks = chosen < self.probability
            return batch.moved(torch.where(shrinks.view(-1, 1, 1, 1), small, images),
                               lambda: shrunk(shrinks, lengths, corners, sides))
        return pasted

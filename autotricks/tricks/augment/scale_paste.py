"""Scale and paste: shrink each image and put it somewhere on an empty canvas."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
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

        def pasted(images: Tensor) -> Tensor:
            images = inner(images)
            chosen, scale = torch.rand(2, len(images), generator=run.generator, device=run.device)
            offsets = torch.randint(_MANY, (2, len(images)), generator=run.generator, device=run.device)
            matrices, filled = [], []
            for table, first, side, offset in zip(tables, least, sides, offsets, strict=True):
                place = (scale * len(table)).long()
                rows, inside = moved(table[place], place + first, offset % (side + 1 - (place + first)))
                matrices.append(rows)
                filled.append(inside)
            inside = (filled[0].unsqueeze(2) & filled[1].unsqueeze(1)).unsqueeze(1)
            small = torch.where(inside, separately(images, *matrices), run.mean)
            return torch.where((chosen < self.probability).view(-1, 1, 1, 1), small, images)
        return pasted

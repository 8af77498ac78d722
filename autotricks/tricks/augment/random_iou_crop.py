"""Random IoU crop: show a window that an object fills to a random degree, at the size of the whole image."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.constants import constants
from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.targets import LEAST
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.boxes import area, intersection, overlap
from ...functional.geometry import stretch
from ...functional.windows import windows

OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
TRIES = 40


def candidates(chances: Tensor, smallest: float, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return windows, and which have a shape between 1 : 2 and 2 : 1.

    Args:
        chances: Uniform numbers: width, height, left and top.
        smallest: Share of a side.
        width: Of the images.
        height: Of the images.

    Shapes:
        chances: [4, B, T], in [0, 1).
        returns: [B, T, 4], pixels, and [B, T], bool.
    """
    broad, tall = (side * (smallest + (1 - smallest) * chance)
                   for side, chance in zip((width, height), chances[:2], strict=True))
    left = chances[2] * (width - broad)
    top = chances[3] * (height - tall)
    return torch.stack([left, top, left + broad, top + tall], 2), (broad <= 2 * tall) & (tall <= 2 * broad)


def greatest(boxes: Tensor, shares: Tensor, crops: Tensor) -> Tensor:
    """Return how much each window overlaps the object that it overlaps most, of those of which it leaves enough.

    Shapes:
        boxes: [B, K, 4].
        shares: [B, K].
        crops: [B, T, 4].
        returns: [B, T], intersection over union; -1 where it leaves enough of none.
    """
    objects = boxes.unsqueeze(1)
    crops = crops.unsqueeze(2)
    enough = intersection(objects, crops) >= LEAST * area(objects)
    there = (shares > 0) & (area(boxes) > 0)
    return overlap(objects, crops).masked_fill(~(enough & there.unsqueeze(1)), -1.0).amax(2)


def first_of(fits: Tensor, chances: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first window for one of the overlaps that some window has, each as likely, or none, likely as well.

    Shapes:
        fits: [B, T, M], bool, which windows have which overlap.
        chances: [B, M + 1], in [0, 1).
        returns: [B], int64, which window, and [B], bool, whether one is taken.
    """
    able = F.pad(fits.any(1), (0, 1), value=True)
    taken = torch.where(able, chances, -1.0).argmax(1).view(-1, 1, 1)
    first = F.pad(fits, (0, 1)).gather(2, taken.expand(-1, fits.shape[1], 1)).float().argmax(1)
    return first.squeeze(1), taken.flatten() < fits.shape[2]


class RandomIouCrop(Trick):
    """Show the whole image, or a window that overlaps an object by at least 0, .1, .3, .5, .7 or .9, each as likely.

    The window has `smallest` to all of either side and a shape between 1 : 2 and 2 : 1; it is enlarged to the size of
    the image. The overlap is intersection over union. Forty windows are drawn for each image; a quarter of the object
    must lie in the window, and overlaps that none of the forty has are not drawn. Other objects of which less than a
    quarter is left are ignored.

    Paper: Liu et al. 2016 (SSD), https://arxiv.org/abs/1512.02325, section 2.2, data augmentation.
    Cost: a comparison of forty windows with each box; one sampling of the images.
    Deviates: Objects are kept by what is left of them; in the paper by whether their middle is left.
    """

    seats = {Slot.AUGMENT: "crop"}
    requires_data = frozenset({DataTrait.BOXES})
    smallest: float = tunable(0.3, search=Choice(0.1, 0.3, 0.5), legal=Between(0, 1, without=(0,)),
                              unit="fraction of the image's side")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what shows a window of some images of a batch."""
        overlaps = torch.tensor(OVERLAPS, device=run.device)

        def cropped(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            boxes = batch.targets.boxes
            assert boxes is not None, "objects have boxes"
            height, width = images.shape[2:]
            chances = torch.rand(4, len(batch), TRIES, generator=run.generator, device=run.device)
            crops, shaped = candidates(chances, self.smallest, width, height)
            fits = shaped.unsqueeze(2) & (greatest(boxes, batch.targets.shares, crops).unsqueeze(2) >= overlaps)
            draws = torch.rand(len(batch), len(overlaps) + 1, generator=run.generator, device=run.device)
            first, cuts = first_of(fits, draws)
            window = crops.gather(1, first.view(-1, 1, 1).expand(-1, 1, 4)).squeeze(1)
            window = torch.where(cuts.unsqueeze(1), window, constants((0, 0, width, height), window))
            scales = constants((width, height), window) / (window[:, 2:] - window[:, :2])
            firsts = -window[:, :2] * scales
            return batch.moved(windows(images, scales, firsts, "border"), lambda: stretch(scales, firsts))
        return cropped

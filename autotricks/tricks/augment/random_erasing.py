"""Random erasing: erase a rectangle of random size and shape."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick

LEAST = 0.02                # share of the image
ASPECTS = (0.3, 1 / 0.3)    # height over width
TRIES = 8                   # less than one rectangle in 20 does not fit, so this leaves one image in 10^10 as it is
_MANY = 2**62               # so many outcomes that a remainder is uniform to one part in 10^12


def sizes(areas: Tensor, aspects: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return height and width of each image's first rectangle that is smaller than the image, 0 where none is.

    Args:
        areas: Of rectangles, as shares of the image.
        aspects: Height over width.
        height: Of the image.
        width: Of the image.

    Shapes:
        areas: [T, B], T tries.
        aspects: [T, B].
        returns: [B] and [B], int64.
    """
    tall = (areas * aspects * (height * width)).sqrt().round().long()
    broad = (areas / aspects * (height * width)).sqrt().round().long()
    fits = (tall < height) & (broad < width)
    tries = torch.arange(len(areas), 0, -1, device=areas.device).unsqueeze(1)
    first = (fits * tries).argmax(0, keepdim=True)  # the only greatest: the numbers differ
    tall, broad = (torch.where(fits, side, 0).gather(0, first)[0] for side in (tall, broad))
    return tall, broad


def stretches(lengths: Tensor, size: int, chances: Tensor) -> Tensor:
    """Return which of `size` positions lie in a stretch of `lengths` whose start is uniform over where it fits.

    Shapes:
        lengths: [B], int64, in [0, size].
        chances: [B], int64, uniform over a great many.
        returns: [B, size], bool.
    """
    first = (chances % (size + 1 - lengths)).unsqueeze(1)
    positions = torch.arange(size, device=lengths.device)
    return (positions >= first) & (positions < first + lengths.unsqueeze(1))


class RandomErasing(Trick):
    """Fill a rectangle of some images with the channel mean or with noise.

    An image has one with `probability`; its area is uniform from 0.02 to `area` of the image, its height over its width
    uniform from 0.3 to 3.33, and it lies uniformly inside. Rectangles that do not fit are drawn anew. Noise gives each
    pixel a value of its own, uniform over the range. Objects of which less than a quarter is left to see are ignored.

    Paper: Zhong et al. 2020, https://arxiv.org/abs/1708.04896, algorithm 1. PyTorch's recipe for ImageNet has a
        probability of 0.1.
    Cost: one copy of the images; with noise as many random numbers as there are pixels.
    Deviates: nothing from the authors' code, https://github.com/zhunzhong07/Random-Erasing, but 8 tries for its 100.
        Very small images, of 2 pixels or fewer a side, stay as they are.
    """

    seats = {Slot.AUGMENT: "erase"}
    probability: float = tunable(0.5, search=Float(0.05, 0.5), legal=Between(0, 1), unit="of an image to be erased")
    area: float = tunable(0.4, search=Float(0.1, 0.4), legal=Between(LEAST, 1), unit="share of the image, at most")
    fill: str = tunable("mean", search=Choice("mean", "noise"))

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what erases a rectangle of some images of a batch."""
        def erased(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            height, width = images.shape[-2:]
            chances = torch.rand(2, TRIES, len(images), generator=run.generator, device=run.device)
            tall, broad = sizes(LEAST + (self.area - LEAST) * chances[0],
                                ASPECTS[0] + (ASPECTS[1] - ASPECTS[0]) * chances[1], height, width)
            chosen = torch.rand(len(images), generator=run.generator, device=run.device) < self.probability
            start = torch.randint(_MANY, (2, len(images)), generator=run.generator, device=run.device)
            inside = (stretches(tall * chosen, height, start[0]).unsqueeze(2)
                      & stretches(broad, width, start[1]).unsqueeze(1))
            fill = run.mean
            if self.fill == "noise":
                fill = torch.rand(images.shape, generator=run.generator, device=run.device)
            return batch.erased(torch.where(inside.unsqueeze(1), fill, images), lambda: inside)
        return erased

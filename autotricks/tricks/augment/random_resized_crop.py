"""Random resized crop: show a window of random size and shape at the size of the whole image."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.constants import constants
from ...core.domain import Between, Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.geometry import stretch
from ...functional.resizing import separately

ATTEMPTS = 10


def stretching(first: Tensor, length: Tensor, size: int) -> Tensor:
    """Return the matrices that enlarge `length` pixels of a column, from `first` on, to all `size` of it, bilinearly.

    Shapes:
        first: [B], pixels before the window.
        length: [B], pixels of the window.
        returns: [B, size, size].
    """
    positions = torch.arange(size, device=first.device)
    sources = ((positions + 0.5) * (length / size).unsqueeze(1) - 0.5).clamp(min=0)
    sources = first.unsqueeze(1) + torch.minimum(sources, (length - 1).unsqueeze(1))
    return (1 - (sources.unsqueeze(2) - positions).abs()).clamp(min=0)


def whole(height: int, width: int, aspect: float) -> tuple[int, int]:
    """Return height and width of the largest window of an image whose shape is between 1 : aspect and aspect : 1."""
    if width > height * aspect:
        return height, round(height * aspect)
    return (round(width * aspect), width) if height > width * aspect else (height, width)


def fitting(heights: Tensor, widths: Tensor, size: tuple[int, int],
            other: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return, of several windows drawn for each image, the first that the image holds, or else `other`; and which.

    Shapes:
        heights: [ATTEMPTS, B], pixels.
        widths: [ATTEMPTS, B].
        returns: [2, B], height and width, and [B], bool, whether the image holds one.
    """
    fits = (heights <= size[0]) & (widths <= size[1]) & (heights > 0) & (widths > 0)
    first = fits.float().argmax(0, keepdim=True)
    drawn = torch.cat([heights.gather(0, first), widths.gather(0, first)])
    held = fits.any(0)
    return torch.where(held, drawn, constants(other, drawn).unsqueeze(1)), held


def enlarging(first: Tensor, size: Tensor, height: int, width: int) -> Tensor:
    """Return where points go when a window becomes the whole image.

    Shapes:
        first: [2, B], pixels above and left of the window.
        size: [2, B], its height and width.
        returns: [B, 2, 3].
    """
    scales = constants((width, height), size) / size.flip(0).T
    return stretch(scales, -first.flip(0).T * scales)


class RandomResizedCrop(Trick):
    """Cut a window of random area and shape out of each image and enlarge it to the size that the image had.

    The area is uniform from `smallest` of the image's to all of it, the logarithm of width : height uniform from
    1 : `aspect` to `aspect` : 1. Of ten windows the first that the image holds is taken, anywhere in it with the same
    probability; where it holds none, its middle. Objects look larger in training than they do in testing;
    `center_crop` or `inference_resolution` mend that. Small objects are cut off: raise `smallest` for them.

    Paper: Szegedy et al. 2015, https://arxiv.org/abs/1409.4842, section 6; as the baseline of He et al. 2018,
        https://arxiv.org/abs/1812.01187, section 2.1.
    Cost: two matrix products an image, 4 D H^3 operations: at 224 pixels 3 % of a ResNet-50's forward pass.
    """

    seats = {Slot.AUGMENT: "crop"}
    smallest: float = tunable(0.08, search=Choice(0.08, 0.25, 0.35, 0.5), legal=Between(0, 1, without=(0,)),
                              unit="fraction of the image's area")
    aspect: float = tunable(4 / 3, search=Choice(1.0, 4 / 3), legal=at_least(1), unit="width : height, or its inverse")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what shows a window of each image of a batch."""
        def cropped(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            height, width = images.shape[-2:]
            area, shape = torch.rand(2, ATTEMPTS, len(images), generator=run.generator, device=run.device)
            area = height * width * (self.smallest + (1 - self.smallest) * area)
            shape = ((2 * shape - 1) * math.log(self.aspect)).exp()
            size, held = fitting((area / shape).sqrt().round(), (area * shape).sqrt().round(), (height, width),
                                 whole(height, width, self.aspect))
            free = constants((height, width), size).unsqueeze(1) - size + 1
            place = torch.rand(2, len(images), generator=run.generator, device=run.device)
            first = torch.where(held, place * free, (free - 1) / 2).floor()
            window = separately(images, stretching(first[0], size[0], height), stretching(first[1], size[1], width))
            return batch.moved(window, lambda: enlarging(first, size, height, width))
        return cropped

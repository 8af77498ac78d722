"""3-Augment: make each image gray, solarize it or blur it; then jitter its colors."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.color import jittered
from ...functional.image_operations import luminance
from ...functional.resizing import separately

GRAY, SOLARIZED, BLURRED = range(3)
THRESHOLD = 128 / 255       # from which on solarizing inverts
LEAST = 0.1                 # pixels


def blurring(deviations: Tensor, size: int) -> Tensor:
    """Return the matrices that blur a column of `size` pixels by a Gaussian; what lies beyond its ends has no weight.

    Shapes:
        deviations: [B], pixels.
        returns: [B, size, size], rows sum to 1.
    """
    places = torch.arange(size, device=deviations.device)
    distances = (places - places.unsqueeze(1)) / deviations.view(-1, 1, 1)
    weights = (-distances.square() / 2).exp()
    return weights / weights.sum(2, keepdim=True)


def altered(images: Tensor, kinds: Tensor, deviations: Tensor) -> Tensor:
    """Return each image in gray, solarized or blurred.

    Args:
        images: In [0, 1].
        kinds: Which of the three.
        deviations: Of the blur, in pixels.

    Shapes:
        images: [B, D, H, W].
        kinds: [B], int64.
        deviations: [B].
    """
    height, width = images.shape[-2:]
    kinds = kinds.view(-1, 1, 1, 1)
    blurred = separately(images, blurring(deviations, height), blurring(deviations, width))
    solarized = torch.where(images < THRESHOLD, images, 1 - images)
    # An image without color is its own gray version.
    gray = luminance(images) if images.shape[1] == 3 else images
    found = torch.where(kinds == SOLARIZED, solarized, blurred)
    return torch.where(kinds == GRAY, gray, found)


class ThreeAugment(Trick):
    """Make each image gray, solarize it or blur it, each as likely; then jitter brightness, contrast and saturation.

    Solarizing inverts the values from 128 on. The blur is Gaussian, its standard deviation uniform from 0.1 to `blur`
    pixels: 2 is for images of 224, smaller ones want less. Factors of the jitter are uniform from 1 - `jitter` to
    1 + `jitter`, in a random order. Crop and flip belong beside it. An image of one channel cannot become gray and is
    left to the jitter.

    Paper: Touvron et al. 2022 (DeiT III), https://arxiv.org/abs/2204.07118, the section on data augmentation.
    Cost: six passes over the images and two matrix products an image, 4 D H^3 operations.
    Deviates: Near the border the blur weighs the pixels that there are; the authors' repeats those of the border.
    """

    seats = {Slot.AUGMENT: "policy"}
    jitter: float = tunable(0.3, search=Float(0.0, 0.5), legal=Between(0, 1), unit="of the factor 1")
    blur: float = tunable(2.0, search=Choice(0.5, 1.0, 2.0), legal=Between(LEAST, 64), unit="pixels, at most")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what alters each image of a batch by one of the three, then its colors."""
        strengths = torch.full((3,), self.jitter, device=run.device)

        def changed(batch: Batch) -> Batch:
            batch = inner(batch)
            count = len(batch)
            kinds = torch.randint(3, (count,), generator=run.generator, device=run.device)
            chances = torch.rand(count, generator=run.generator, device=run.device)
            images = altered(batch.images, kinds, LEAST + (self.blur - LEAST) * chances)
            return batch.painted(jittered(images, strengths, run.generator))
        return changed

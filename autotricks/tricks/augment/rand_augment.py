"""RandAugment: a few random operations of one strength for each image."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.domain import Between, Choice, Int, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.augmentation_policies import Range, standard, uniform

LEVELS = 31


class RandAugment(Trick):
    """Apply `count` of 14 operations to each image, one after the other, all of the same strength.

    Each operation is drawn anew, each as likely: nothing, shear, translation and rotation, brightness, color, contrast,
    sharpness, posterize, solarize, autocontrast and equalize. Signs are random. Crop and flip belong beside it. To
    images of one channel, color does nothing.

    Paper: Cubuk et al. 2020, https://arxiv.org/abs/1909.13719, section 3; ranges as in AutoAugment.
    Cost: three passes over the images for each of the operations.
    Deviates: What moves in from outside is the channel mean, as in the authors' code for CIFAR, not black.
    """

    seats = {Slot.AUGMENT: "policy"}
    count: int = tunable(2, search=Choice(1, 2, 3), legal=Between(1, 8), unit="operations an image")
    magnitude: int = tunable(9, search=Int(4, 18), legal=Between(0, LEVELS - 1), unit="steps of 30")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what changes each image of a batch by operations of its own."""
        range_ = Range.of(standard(*run.image_shape[1:]), run.device)

        def changed(batch: Batch) -> Batch:
            batch = inner(batch)
            levels = torch.full((len(batch),), self.magnitude / (LEVELS - 1), device=run.device)
            for _ in range(self.count):
                batch = uniform(batch, range_, levels, run.mean, run.generator)
            return batch
        return changed

"""TrivialAugment: one random operation of random strength for each image."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.augmentation_policies import Range, standard, uniform
from ...functional.image_operations import Operation

LEVELS = 31


def wide(height: int, width: int) -> dict[Operation, float]:
    """Return the operations of the wide space with their greatest magnitudes."""
    return standard(height, width) | {
        Operation.SHEAR_X: 0.99, Operation.SHEAR_Y: 0.99, Operation.TRANSLATE_X: float(min(32, width)),
        Operation.TRANSLATE_Y: float(min(32, height)), Operation.ROTATE: 135.0, Operation.BRIGHTNESS: 0.99,
        Operation.COLOR: 0.99, Operation.CONTRAST: 0.99, Operation.SHARPNESS: 0.99, Operation.POSTERIZE: 2.0}


class TrivialAugment(Trick):
    """Apply one of 14 operations to each image, each as likely, at one of 31 strengths, each as likely.

    Operations are those of the wide space: nothing, shear, translation and rotation, brightness, color, contrast,
    sharpness, posterize, solarize, autocontrast and equalize. It has nothing to tune, which is its point. Crop and flip
    belong beside it. To images of one channel, color does nothing. Rotations reach 135 degrees: where up and down mean
    something, such as 6 and 9, take `rand_augment`.

    Paper: Müller and Hutter 2021, https://arxiv.org/abs/2103.10158, algorithm 1 and the wide space.
    Cost: three passes over the images, whatever the operations.
    Deviates: Translations, up to 32 pixels in the paper, are no longer than the image's side. Strengths of the blends
        are mirrored, 1 - s or 1 + s, as in PyTorch's library; the paper's space has 0.01 to 2. Rotations are not cut
        to whole degrees and bits are rounded, as there too; the authors' code cuts both.
    """

    seats = {Slot.AUGMENT: "policy"}

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what changes each image of a batch by an operation of its own."""
        range_ = Range.of(wide(*run.image_shape[1:]), run.device)
        black = torch.zeros_like(run.mean)

        def changed(batch: Batch) -> Batch:
            batch = inner(batch)
            levels = torch.randint(LEVELS, (len(batch),), generator=run.generator, device=run.device) / (LEVELS - 1)
            return uniform(batch, range_, levels, black, run.generator)
        return changed

"""AugMix: chains of operations mixed into the image that they started from."""
from __future__ import annotations

import torch
from torch import Tensor

from .augmentation_policies import Range
from .image_operations import Operation, applied

DEEPEST = 3     # operations in a chain
STEPS = 10      # levels are tenths


def operations(height: int, width: int, device: torch.device) -> Range:
    """Return the operations of AugMix: those that resemble no corruption of ImageNet-C."""
    full = {
        Operation.SHEAR_X: 0.3, Operation.SHEAR_Y: 0.3, Operation.TRANSLATE_X: width / 3,
        Operation.TRANSLATE_Y: height / 3, Operation.ROTATE: 30.0, Operation.POSTERIZE: 0.0, Operation.SOLARIZE: 0.0,
        Operation.AUTO_CONTRAST: 0.0, Operation.EQUALIZE: 0.0}
    return Range.of(full, device, {Operation.POSTERIZE: 4.0, Operation.SOLARIZE: 256.0})


def mixed(images: Tensor, range_: Range, severity: float, width: int, generator: torch.Generator) -> Tensor:
    """Return (1 - m) * image + m * the weighted sum of `width` chains of 1 to 3 operations, for each image.

    m is drawn from Beta(1, 1) and the weights from Dirichlet(1, ..., 1).

    Args:
        images: In [0, 1].
        range_: Of `operations`.
        severity: Levels are uniform from 0.1 to this.
        width: How many chains.
        generator: Source of randomness, on the device of the images.

    Shapes:
        images: [B, D, H, W].
    """
    count = len(images) * width
    device = images.device
    chains = images.repeat_interleave(width, 0)
    black = torch.zeros_like(images[0, :, :1, :1])
    depths = torch.randint(1, DEEPEST + 1, (count,), generator=generator, device=device)
    for step in range(DEEPEST):
        chosen = torch.randint(len(range_.operations), (count,), generator=generator, device=device)
        level, negative = torch.rand(2, count, generator=generator, device=device)
        magnitudes = range_.magnitudes(chosen, (0.1 + (severity - 0.1) * level) / STEPS, negative < 0.5)
        numbers = torch.where(depths > step, range_.numbers[chosen], Operation.IDENTITY)
        # As in the authors' code, strengths in whole numbers are cut: less of a change, so more of the bits.
        magnitudes = torch.where(numbers == Operation.POSTERIZE, magnitudes.ceil(), magnitudes)
        magnitudes = torch.where(numbers == Operation.ROTATE, magnitudes.trunc(), magnitudes)
        chains = applied(chains, numbers, magnitudes, black, range_.operations, bilinear=True)
    weights = torch.empty(len(images), width, device=device).exponential_(generator=generator)
    weights = weights / weights.sum(1, keepdim=True)
    fraction = torch.rand(len(images), 1, 1, 1, generator=generator, device=device)
    return images.lerp((chains.unflatten(0, (-1, width)) * weights[:, :, None, None, None]).sum(1), fraction)

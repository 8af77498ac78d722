"""Color: brightness, contrast and saturation, each image with factors of its own."""
from __future__ import annotations

import torch
from torch import Tensor

from .image_operations import luminance

BRIGHTNESS, CONTRAST, SATURATION = range(3)


def scaled(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Return the images with brightness, contrast or saturation multiplied, each with its own of the three.

    Shapes:
        images: [B, D, H, W], in [0, 1].
        kinds: [B], int64.
        factors: [B].
    """
    kinds = kinds.view(-1, 1, 1, 1)
    factors = factors.view(-1, 1, 1, 1)
    gray = luminance(images)
    flat = torch.where(kinds == CONTRAST, gray.mean((2, 3), keepdim=True), 0.0)
    # An image without color is its own gray version.
    origin = torch.where(kinds == SATURATION, gray if images.shape[1] == 3 else images, flat)
    return origin.lerp(images, factors).clamp(0, 1)


def jittered(images: Tensor, strengths: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images with all three multiplied by random factors, in a random order.

    Args:
        images: In [0, 1].
        strengths: Of brightness, contrast and saturation; factors are uniform from 1 - s to 1 + s.
        generator: Source of randomness, on the images' device.

    Shapes:
        images: [B, D, H, W].
        strengths: [3].
    """
    count = len(images)
    order = torch.rand(3, count, generator=generator, device=images.device).argsort(0)
    chances = 2 * torch.rand(3, count, generator=generator, device=images.device) - 1
    for kinds, chance in zip(order, chances, strict=True):
        images = scaled(images, kinds, 1 + strengths[kinds] * chance)
    return images

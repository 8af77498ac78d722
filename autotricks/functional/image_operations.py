"""Operations of augmentation policies: each image of a batch has its own, at its own magnitude.

Which image gets which operation is a matter of data, and to sort the images by it would wait for the device. So all go
through one pass of each kind of operation, geometry, blending and curves, and come out of two of them unchanged.
"""
from __future__ import annotations

import math
from collections.abc import Collection
from enum import IntEnum

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.batch import Batch
from .geometry import about_middle, forward


class Operation(IntEnum):
    """What is done to an image, and what its magnitude means."""

    IDENTITY = 0
    SHEAR_X = 1         # pixels to the left for each row down; the top row stays
    SHEAR_Y = 2         # pixels up for each column to the right; the left column stays
    TRANSLATE_X = 3     # pixels to the right, cut to whole ones
    TRANSLATE_Y = 4     # pixels down, cut to whole ones
    ROTATE = 5          # degrees, counter-clockwise
    BRIGHTNESS = 6      # the image's weight less 1, black has the rest; so for the next three
    COLOR = 7           # beside its gray version
    CONTRAST = 8        # beside the mean of its gray version
    SHARPNESS = 9       # beside its smoothed version
    POSTERIZE = 10      # bits that are kept, rounded to whole ones
    SOLARIZE = 11       # value in 256ths from which on values are inverted
    AUTO_CONTRAST = 12  # none
    EQUALIZE = 13       # none; below 256 pixels, and where they are all alike, nothing changes
    INVERT = 14         # none


GEOMETRY = frozenset(Operation(number) for number in range(1, 6))
BLENDS = frozenset(Operation(number) for number in range(6, 10))
CURVES = frozenset(Operation(number) for number in range(10, 15))


def applied(images: Tensor, operations: Tensor, magnitudes: Tensor, fill: Tensor, among: Collection[Operation],
            bilinear: bool = False) -> Tensor:
    """Return each image after its operation.

    Args:
        images: In [0, 1].
        operations: Numbers of `Operation`.
        magnitudes: As `Operation` says.
        fill: What moves in from outside.
        among: Operations that may occur; passes that none of them needs are left out.
        bilinear: How geometry samples; else by the nearest pixel.

    Shapes:
        images: [B, D, H, W].
        operations: [B], int64.
        magnitudes: [B].
        fill: [D, 1, 1].
    """
    if GEOMETRY & set(among):
        images = warped(images, operations, magnitudes, fill, bilinear)
    if BLENDS & set(among):
        images = blended(images, operations, magnitudes)
    if CURVES & set(among):
        images = curved(images, operations, magnitudes)
    return images


def operated(batch: Batch, operations: Tensor, magnitudes: Tensor, fill: Tensor, among: Collection[Operation]) -> Batch:
    """Return the batch after an operation for each image, as `applied` has it, and boxes with it."""
    images = batch.images
    return batch.moved(applied(images, operations, magnitudes, fill, among),
                       lambda: forward(origins(operations, magnitudes, images.shape[-2], images.shape[-1])))


def origins(operations: Tensor, magnitudes: Tensor, height: int, width: int) -> Tensor:
    """Return the matrices that tell where a point of an image after its operation comes from; [B] to [B, 2, 3]."""
    shear_x, shear_y, right, down, degrees = (
        torch.where(operations == operation, magnitudes, 0.0) for operation in sorted(GEOMETRY))
    turn = about_middle(degrees * (math.pi / 180), height, width)
    back = forward(turn)
    nothing = torch.zeros_like(degrees)
    slant = torch.stack([torch.stack([nothing, shear_x], 1), torch.stack([shear_y, nothing], 1)], 1)
    linear = back[..., :2] + slant
    shifts = back[..., 2] - torch.stack([right.trunc(), down.trunc()], 1)
    return torch.cat([linear, shifts.unsqueeze(2)], 2)


def luminance(images: Tensor) -> Tensor:
    """Return the gray version of color images, as ITU-R 601 weighs them; of others the mean of the channels.

    Shapes:
        images: [B, D, H, W].
        returns: [B, 1, H, W].
    """
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, 1)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def warped(images: Tensor, operations: Tensor, magnitudes: Tensor, fill: Tensor, bilinear: bool) -> Tensor:
    """Return the images sheared, translated or rotated; the others as they are."""
    height, width = images.shape[-2:]
    shear_x, shear_y, right, down, degrees = (
        torch.where(operations == operation, magnitudes, 0.0).view(-1, 1, 1) for operation in sorted(GEOMETRY))
    cosine = torch.cos(degrees * (math.pi / 180))
    sine = torch.sin(degrees * (math.pi / 180))
    # Pixels are counted from the image's middle; each asks where in the original it comes from.
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = torch.arange(height, device=images.device).unsqueeze(1) - (height - 1) / 2
    from_x = cosine * x - sine * y + shear_x * (y + height / 2) - right.trunc()
    from_y = sine * x + cosine * y + shear_y * (x + width / 2) - down.trunc()
    grid = torch.stack([from_x * (2 / width), from_y * (2 / height)], 3)
    sampled = F.grid_sample(images - fill, grid, mode="bilinear" if bilinear else "nearest", align_corners=False)
    moves = (operations >= min(GEOMETRY)) & (operations <= max(GEOMETRY))
    return torch.where(moves.view(-1, 1, 1, 1), sampled + fill, images)


def blended(images: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Return the images blended with, or moved away from, a degenerate version; the others as they are."""
    operations = operations.view(-1, 1, 1, 1)
    magnitudes = magnitudes.view(-1, 1, 1, 1)
    gray = luminance(images)
    flat = torch.where(operations == Operation.CONTRAST, gray.mean((2, 3), keepdim=True), 0.0)
    # An image without color is its own gray version.
    plain = torch.where(operations == Operation.COLOR, gray if images.shape[1] == 3 else images, flat)
    degenerate = torch.where(operations == Operation.SHARPNESS, smoothed(images), plain)
    blends = (operations >= min(BLENDS)) & (operations <= max(BLENDS))
    return degenerate.lerp(images, torch.where(blends, 1 + magnitudes, 1.0)).clamp(0, 1)


def smoothed(images: Tensor) -> Tensor:
    """Return the images with each inner pixel replaced by (the sum of the 3 x 3 around it + 4 times it) / 13."""
    if min(images.shape[-2:]) < 3:
        return images
    rows = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    inner = images[:, :, 1:-1, 1:-1]
    result = images.clone()
    result[:, :, 1:-1, 1:-1] = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * inner) / 13
    return result


def curved(images: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Return the images with their 256 values mapped to others, channel by channel; the others as they are."""
    values = (images * 255).round().clamp(0, 255).long().flatten(2)
    one = torch.ones((), dtype=torch.int32, device=images.device)
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.int32, device=images.device)
    counts.scatter_add_(2, values, one.expand_as(values))
    mapped = (curves(counts, operations, magnitudes) / 255).gather(2, values).view_as(images)
    maps = (operations >= min(CURVES)) & (operations <= max(CURVES))
    return torch.where(maps.view(-1, 1, 1, 1), mapped, images)


def curves(counts: Tensor, operations: Tensor, magnitudes: Tensor) -> Tensor:
    """Return what each of 256 values becomes.

    Shapes:
        counts: [B, D, 256], int32, how many pixels have each value.
        operations: [B], int64.
        magnitudes: [B].
        returns: [B, D, 256], in [0, 255].
    """
    operations = operations.view(-1, 1, 1)
    magnitudes = magnitudes.view(-1, 1, 1)
    value = torch.arange(256, device=counts.device, dtype=torch.float32).expand(counts.shape)
    low = torch.where(counts > 0, value, 255.0).amin(2, keepdim=True)
    high = torch.where(counts > 0, value, 0.0).amax(2, keepdim=True)
    step = torch.exp2(8 - magnitudes.round())
    keeps = (operations == Operation.SOLARIZE) & (value < magnitudes)
    curve = torch.where(operations == Operation.POSTERIZE, value - value % step, torch.where(keeps, value, 255 - value))
    curve = torch.where(operations == Operation.AUTO_CONTRAST, stretched(value, low, high), curve)
    return torch.where(operations == Operation.EQUALIZE, equalized(value, counts, high), curve)


def stretched(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the values stretched so that `low` becomes 0 and `high` 255; as they are where the two are one."""
    return torch.where(high > low, (value - low) * (255 / (high - low)), value).clamp(0, 255)


def equalized(value: Tensor, counts: Tensor, high: Tensor) -> Tensor:
    """Return the values after histogram equalization as PIL does it, in whole numbers.

    Quotients are floored in float32, which is exact for images of up to ten million pixels.

    Shapes:
        value: [B, D, 256].
        counts: [B, D, 256], int32.
        high: [B, D, 1], the greatest value that occurs.
        returns: [B, D, 256].
    """
    until = counts.cumsum(2)
    step = (until[..., -1:] - counts.gather(2, high.long())) // 255
    equal = ((step // 2 + until - counts) / step).floor().clamp(max=255)
    return torch.where(step > 0, equal, value)

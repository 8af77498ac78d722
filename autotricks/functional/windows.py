"""Windows: parts of images shown at another size, by one sampling of the whole batch."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.constants import constants
from .geometry import stretch


def pixels(size: int, scale: Tensor, first: Tensor) -> Tensor:
    """Return where the middles of `size` pixels come from, along one side of images that are scaled and shifted.

    Shapes:
        scale: [B], by which a length grows.
        first: [B], where the old first edge comes to lie, in pixels.
        returns: [B, size], in pixels from the old first edge.
    """
    middles = torch.arange(size, device=scale.device) + 0.5
    return (middles - first.unsqueeze(1)) / scale.unsqueeze(1)


def windows(images: Tensor, scales: Tensor, firsts: Tensor, padding: str = "zeros") -> Tensor:
    """Return the images scaled and shifted, at their own size, bilinearly.

    Args:
        images: Of any values.
        scales: Of x and of y.
        firsts: Where the old left and upper edges come to lie, in pixels.
        padding: What lies beyond, as `torch.nn.functional.grid_sample` calls it.

    Shapes:
        images: [B, D, H, W].
        scales: [B, 2].
        firsts: [B, 2].
    """
    height, width = images.shape[2:]
    x = pixels(width, scales[:, 0], firsts[:, 0]) * (2 / width) - 1
    y = pixels(height, scales[:, 1], firsts[:, 1]) * (2 / height) - 1
    return F.grid_sample(images, _grid(x.unsqueeze(1), y.unsqueeze(2)), padding_mode=padding, align_corners=False)


def stitched(images: Tensor, partners: Tensor, scales: Tensor, middles: Tensor) -> Tensor:
    """Return mosaics of four images each, which meet in a point and are scaled about it.

    Args:
        images: Of a batch.
        partners: Which image is upper left, upper right, lower left and lower right.
        scales: Of the four images of each mosaic; at least as large as what a middle leaves on its larger side.
        middles: x and y of where the four meet, in pixels.

    Shapes:
        images: [B, D, H, W].
        partners: [4, B], int64.
        scales: [B].
        middles: [B, 2].
        returns: [B, D, H, W].
    """
    count, depth, height, width = images.shape
    x = pixels(width, scales, middles[:, 0])
    y = pixels(height, scales, middles[:, 1])
    # left of the middle, and above it, is the end of an image; nothing is mixed across an edge
    column = torch.where(x < 0, x + width, x).clamp(0.5, width - 0.5)
    row = torch.where(y < 0, y + height, y).clamp(0.5, height - 0.5)
    # one tall image of all holds what each of them may ask for
    tall = images.transpose(0, 1).reshape(1, depth, count * height, width).expand(count, -1, -1, -1)
    half = 2 / (count * height)
    tops = (partners * (height * half) - 1).view(4, -1, 1, 1)
    left = (x < 0).unsqueeze(1)
    above = (y < 0).unsqueeze(2)
    top = torch.where(above, torch.where(left, tops[0], tops[1]), torch.where(left, tops[2], tops[3]))
    grid = _grid((column * (2 / width) - 1).unsqueeze(1), top.add_((row * half).unsqueeze(2)))
    return F.grid_sample(tall, grid, align_corners=False)


def corners(scales: Tensor, middles: Tensor, width: int, height: int) -> Tensor:
    """Return where the points of the four images of each mosaic go, [4, B, 2, 3]; see `stitched`."""
    sides = constants((width, height), middles) * scales.unsqueeze(1)
    ends = constants((1, 1, 0, 1, 1, 0, 0, 0), middles).view(4, 2)
    firsts = middles - ends.unsqueeze(1) * sides                                        # [4, B, 2]
    return torch.stack([stretch(scales.unsqueeze(1).expand(-1, 2), first) for first in firsts])


def numbered(images: Tensor) -> Tensor:
    """Return the number of each pixel of the first channel, counted through all images, [B, H, W] int64."""
    count, depth, height, width = images.shape
    first = torch.arange(count, device=images.device) * (depth * height * width)
    return first.view(-1, 1, 1) + torch.arange(height * width, device=images.device).view(height, width)


def collected(images: Tensor, numbers: Tensor) -> Tensor:
    """Return the images that have the pixels of these numbers, as `numbered` counts them.

    Shapes:
        images: [B, D, H, W].
        numbers: [B, H, W], int64.
    """
    depth, height, width = images.shape[1:]
    channels = torch.arange(depth, device=images.device).view(-1, 1, 1) * (height * width)
    return images.take(numbers.unsqueeze(1) + channels)


def rectangles(corners: Tensor, sizes: Tensor, height: int, width: int) -> Tensor:
    """Return which pixels lie in a rectangle of each image.

    Shapes:
        corners: [B, 2], x and y of the first pixel.
        sizes: [B, 2], width and height.
        returns: [B, height, width], bool.
    """
    middles = [torch.arange(side, device=corners.device) + 0.5 for side in (width, height)]
    x, y = ((middle > first.unsqueeze(1)) & (middle < (first + size).unsqueeze(1))
            for middle, first, size in zip(middles, corners.unbind(1), sizes.unbind(1), strict=True))
    return y.unsqueeze(2) & x.unsqueeze(1)


def _grid(x: Tensor, y: Tensor) -> Tensor:
    """Return x and y, which may be broadcast to [B, H, W], as a grid, [B, H, W, 2]."""
    return torch.stack(torch.broadcast_tensors(x, y), 3)

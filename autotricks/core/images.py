"""Images: those of a split, in memory as one tensor or streamed from where they lie."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol, Self, overload

import torch
from torch import Tensor

CHUNK = 256     # images a forward pass of evaluation; larger ones are slower on a CPU
PIXELS = CHUNK * 224 * 224      # of an image's sides, in a forward pass: larger images come fewer at a time


def chunk(shape: Sequence[int]) -> int:
    """Return how many images, or features of them, are evaluated at a time.

    Args:
        shape: (N, D, H, W) or (D, H, W) of images; (N, F) of features.
    """
    pixels = math.prod(shape[-2:]) if len(shape) > 2 else 1
    return max(1, min(CHUNK, PIXELS // pixels))


class Streaming(Protocol):
    """Images that are read when they are asked for; what a uint8 tensor [N, D, H, W] does, as far as it is used.

    Attributes:
        shape: (N, D, H, W).
        device: Where the images go that are read.
    """

    shape: torch.Size
    device: torch.device

    def __len__(self) -> int:
        """Return the number of images."""

    @overload
    def __getitem__(self, rows: Tensor) -> Tensor: ...
    @overload
    def __getitem__(self, rows: slice) -> Self: ...

    def split(self, size: int) -> Iterable[Tensor]:
        """Yield all images, `size` at a time."""

    def numel(self) -> int:
        """Return the number of values."""

    def to(self, device: torch.device | str) -> Self:
        """Return the same images for another device."""

    def subset(self, rows: Tensor) -> Self:
        """Return some of the images, read as late as these are."""

    def joined(self, other: Self) -> Self:
        """Return these images and then others of the same source."""

    def announce(self, batches: Sequence[Tensor]) -> None:
        """Begin to read what will be asked for next, in this order, by these very tensors of rows."""


Images = Tensor | Streaming


def ahead(images: Images, batches: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the batches of rows, after images that are streamed have begun to be read in their order."""
    if not isinstance(images, Tensor):
        images.announce(batches)
    return batches


def joined(images: Images, other: Images) -> Images:
    """Return images and then others of the same source, as they are kept."""
    if isinstance(images, Tensor) or isinstance(other, Tensor):
        assert isinstance(images, Tensor) and isinstance(other, Tensor)
        return torch.cat([images, other])
    return images.joined(other)


def subset(images: Images, rows: Tensor) -> Images:
    """Return some of the images as they are kept: in memory, or to be read."""
    return images[rows] if isinstance(images, Tensor) else images.subset(rows)

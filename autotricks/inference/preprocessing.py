"""Preprocessing: an image file as a trained bundle takes it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.task import Move
from ..data import Settings, decode
from ..data.fitting import Size, fitted
from ..data.tones import Unusable


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file as a model takes it, and as large as it was.

    Args:
        pixels: uint8 [D, H, W].
        size: Height and width of the file's image, upright as one looks at it.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]


@dataclass(frozen=True)
class Preprocessing:
    """How an image file becomes the pixels that a trained bundle takes: as the files of its data set did.

    Whatever predicts from files goes through here, and whatever a bundle's data section says of pixels is read here.

    Args:
        shape: (D, H, W) of an image.
        size: To which a file is brought; None: a file must have the model's size.
        fit: How it is brought to it; see `data.fit`.
    """

    shape: tuple[int, int, int]
    size: Size | None
    fit: str = Settings.fit

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Preprocessing:
        """Return how the bundle of this document was trained; square images of an array stand for files of a size."""
        depth, height, width = document["images"]["shape"]
        data = document.get("data", {})
        size = (height, width) if height == width or data.get("size") else None
        return cls((depth, height, width), size, data.get("fit", Settings.fit))

    def pixels(self, source: str | Path | bytes) -> NDArray[np.uint8]:
        """Return an image file, or the bytes of one, as the model takes it, uint8 [D, H, W]; see `picture`."""
        return self.picture(source).pixels

    def picture(self, source: str | Path | bytes) -> Picture:
        """Return an image file, or the bytes of one, as the model takes it, and how large it was.

        Raises:
            Exception: Whatever the decoder raises, and Unusable where the model takes no such image; `decode.reason`
                puts it into words.
        """
        depth, height, width = self.shape
        if depth not in (1, 3):
            raise Unusable(f"the model takes images of {depth} channels; an image file has 1 or 3")
        size, pixels = decode.sized(source, self.size, depth, self.fit)
        if pixels.shape != self.shape:
            raise Unusable(f"{pixels.shape[2]} x {pixels.shape[1]} pixels; the model takes {width} x {height} alone, "
                           "which is not square")
        return Picture(pixels, size)

    def back(self, size: tuple[int, int]) -> Move:
        """Return what brings boxes of what the model takes back into an image of this height and width."""
        return partial(unfitted, size=self.size, fit=self.fit, original=size)


def unfitted(boxes: NDArray[np.float32], size: Size | None, fit: str, original: tuple[int, int]
             ) -> NDArray[np.float32]:
    """Return boxes in an image that was brought to a model's size as boxes in the image as it was, cut at its border.

    Args:
        boxes: Left, top, right and bottom in pixels of what the model took.
        size: To which the image was brought; None where it was taken as it is.
        fit: How it was brought to it; see `data.fit`.
        original: Height and width before.

    Shapes:
        boxes: [..., 4].
        returns: [..., 4].
    """
    height, width = original
    border = np.array([width, height] * 2, boxes.dtype)
    return fitted((width, height), size, fit).restored(boxes).astype(boxes.dtype).clip(0, border)

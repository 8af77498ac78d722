"""Preprocessing: an image file as a trained bundle takes it."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Settings, decode
from ..data.fitting import Size
from ..data.tones import Unusable


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
        """Return an image file, or the bytes of one, as the model takes it: uint8 [D, H, W].

        Raises:
            Exception: Whatever the decoder raises, and Unusable where the model takes no such image; `decode.reason`
                puts it into words.
        """
        depth, height, width = self.shape
        if depth not in (1, 3):
            raise Unusable(f"the model takes images of {depth} channels; an image file has 1 or 3")
        picture: NDArray[np.uint8] = decode.decode(source, self.size, depth, self.fit)
        if picture.shape != self.shape:
            raise Unusable(f"{picture.shape[2]} x {picture.shape[1]} pixels; the model takes {width} x {height} alone, "
                           "which is not square")
        return picture

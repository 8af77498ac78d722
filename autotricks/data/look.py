"""What one image is, without keeping it: size, mode, format, and the marks by which copies are found."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .decode import SIDEWAYS, decoded, opened, orientation
from .duplicates import difference_hash, digest, thumbnail
from .storage import Stored, stored
from .tones import BITS, TOPS, tag

DRAFT = 512             # pixels to which a large JPEG is decoded at least; its copies are decoded alike
DIM = 4096              # 16-bit values that all lie below this become nearly black


@dataclass(frozen=True)
class Look:
    """One image.

    Args:
        size: Width and height in pixels, upright.
        mode: Pillow's name of how pixels are stored.
        kind: The file's format.
        frames: Whether there are more than the first, which is used.
        dim: Whether deep gray values fill less than a sixteenth of their range.
        mark: `duplicates.digest` of its pixels.
        hash: `duplicates.difference_hash`.
        thumbnail: `duplicates.thumbnail`.
    """

    size: tuple[int, int]
    mode: str
    kind: str
    frames: bool
    dim: bool
    mark: bytes
    hash: bytes
    thumbnail: bytes


@dataclass(frozen=True)
class Shape:
    """How large an image is, width and height, and whether it is `dim` as in `Look`."""

    size: tuple[int, int]
    dim: bool = False


def shape_of(path: Path | Stored) -> Shape:
    """Look at a file's header, and at its pixels where they are deep.

    Raises:
        Exception: Whatever the decoder raises; `decode.reason` puts it into words.
    """
    with opened(path) as image:
        if not _deep(image):
            return Shape(image.size)
        with decoded(image, None):
            return Shape(image.size, _dim(image))


def _deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") and tag(image, BITS) not in TOPS


def _dim(image: Image.Image) -> bool:
    return 0 < int(np.asarray(image).max()) < DIM


def at_file(path: Path | Stored) -> Look:
    """Decode a file as training does and look at it.

    Raises:
        Exception: Whatever the decoder raises; `decode.reason` puts it into words.
    """
    with opened(path) as image:
        mode = image.mode
        kind = image.format or ""
        size = image.size
        with decoded(image, DRAFT) as picture:
            dim = _deep(image) and _dim(image)
            swapped = (picture.size == image.size[::-1]) and picture.size != image.size
            return _looked(picture, size[::-1] if swapped else size, (mode, kind), (_animated(image), dim))


def at_pixels(values: np.ndarray) -> Look:
    """Look at an image of an array, uint8 [D, H, W]."""
    image = Image.fromarray(values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0)))
    return _looked(image, image.size, (image.mode, "array"), (False, False))


def _looked(image: Image.Image, size: tuple[int, int], stored: tuple[str, str], notes: tuple[bool, bool]) -> Look:
    return Look(size, *stored, *notes, digest(image), difference_hash(image), thumbnail(image))


def _animated(image: Image.Image) -> bool:
    """Return whether a file holds more than its first frame; a second one that is damaged costs nothing."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # seeking in a damaged file raises anything
        return False


@dataclass(frozen=True)
class Header:
    """What a file says of an image before its pixels.

    Args:
        stored: Width and height in pixels, as they are written.
        turn: EXIF's orientation, 1 to 8: how the image is turned to be looked at.
    """

    stored: tuple[int, int]
    turn: int

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the image as it is looked at."""
        width, height = self.stored
        return (height, width) if self.turn in SIDEWAYS else (width, height)

    def turned(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Return a box of the pixels as they are written as one of the image as it is looked at; sideways alone."""
        width, height = self.stored
        left, top, right, bottom = box
        across = (height - bottom, height - top) if self.turn in (6, 7) else (top, bottom)
        down = (width - right, width - left) if self.turn in (7, 8) else (left, right)
        return across[0], down[0], across[1], down[1]


def header_of(path: Path | Stored) -> Header:
    """Read a file's header; its pixels are decoded for the few PNG files alone that tell their orientation after them.

    Raises:
        Exception: Whatever the decoder raises; `decode.reason` puts it into words.
    """
    with opened(path) as image:
        silent = image.format == "PNG" and "exif" not in image.info and not _mentions_exif(path)
        turn = 1 if silent else orientation(image)      # which decodes a PNG to its end
        return Header(image.size, 1 if image.format == "TIFF" else turn)     # Pillow turns TIFF files itself


def _mentions_exif(path: Path | Stored) -> bool:
    with stored(path).open() as file:
        return b"eXIf" in file.read()

"""Pixels of every kind that Pillow hands over, as 8-bit gray or color."""
from __future__ import annotations

import numpy as np
from PIL import Image

GRAY = ("1", "L", "LA")
STEPS = {"L;2": 85, "L;4": 17}      # by which Pillow spreads gray of few bits, and not the one that is transparent
PHOTOMETRIC = 262
BITS = 258
PLANAR = 284
FORMAT = 339       # tags of a TIFF
WHITE_IS_ZERO = 0
SEPARATE = 2
SIGNED = 2
TOPS = {12: 4095}                   # the largest value of bits that Pillow hands over in more
BLOCK = 2**20                       # values that are scaled at a time


class Unusable(ValueError):
    """A file that cannot be a picture, with the reason in words."""


def tag(image: Image.Image, number: int) -> int | None:
    """Return the first value of a tag of a TIFF; None for any other image, and where it has none."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) else value


def load(image: Image.Image) -> None:
    """Decode an opened image, with the transparent value in the range of its pixels.

    Raises:
        Exception: Whatever the decoder raises, and Unusable for a transparent color of which Pillow hides a half and
            for planes of 16 bits, of which it reads the first half as 8-bit values.
    """
    tiles = getattr(image, "tile", []) if image.format == "PNG" and "transparency" in image.info else []
    kind = tiles[0].args if tiles else None
    if kind == "RGB;16B":
        raise Unusable("a transparent color of 16 bits, of which the decoder tells 8 apart")
    if tag(image, PLANAR) == SEPARATE and len(image.getbands()) > 1 and (tag(image, BITS) or 8) > 8:
        raise Unusable("a TIFF of 16 bits with a plane for each color, which the decoder reads wrongly")
    image.load()
    if kind in STEPS:
        image.info["transparency"] *= STEPS[kind]


def flat(image: Image.Image) -> Image.Image:
    """Return an image of any mode as L or RGB."""
    if image.mode == "F" or image.mode.startswith("I") or (image.mode == "L" and tag(image, FORMAT) == SIGNED):
        return Image.fromarray(_deep(image))
    mode = "L" if image.mode in GRAY else "RGB"
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)


def _deep(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if image.format == "PPM" and image.mode == "I":     # 16 bits, of whatever range
        values = values.astype(np.uint16)
    clear = image.info.get("transparency")
    gray = eight_bits(values.view(np.int8) if image.mode == "L" else values, TOPS.get(tag(image, BITS) or 0))
    if tag(image, PHOTOMETRIC) == WHITE_IS_ZERO:    # Pillow turns those of 8 bits and less itself
        gray = 255 - gray
    if clear is not None:
        gray[values == clear] = 255
    return gray


def eight_bits(values: np.ndarray, top: int | None = None) -> np.ndarray:
    """Scale 16-bit, 32-bit or float gray values to 0..255, by their type and range and never by their contrast.

    Where `top` is given, it becomes 255. 16-bit values are divided by 257. Others are taken as 0..1 (float only),
    0..255 or 0..65535, the first that holds the largest value.

    Raises:
        Unusable: When a value is negative, not finite or above 65535.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise Unusable("gray values that are not finite")
    low = values.min()
    high = values.max()
    if low < 0 or high > 65535:
        raise Unusable(f"gray values from {low:g} to {high:g}; 0 to 65535 can be scaled")
    if values.dtype.kind == "f" and high <= 1:
        scale = 255.0
    elif values.dtype.itemsize == 2 or high > 255:
        scale = 255 / top if top else 1 / 257
    else:
        scale = 1.0
    return scaled(values, scale)


def scaled(values: np.ndarray, scale: float) -> np.ndarray:
    """Return numbers times a scale, rounded to uint8; what is between is rounded up."""
    result = np.empty(values.size, np.uint8)
    for start in range(0, values.size, BLOCK):
        block = slice(start, start + BLOCK)
        result[block] = np.floor(values.reshape(-1)[block].astype(np.float64) * scale + 0.5)
    return result.reshape(values.shape)

"""Fitting: how an image is brought to the size asked for, and where a box of it lies afterwards."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Size = int | tuple[int, int]        # side of a square, or height and width
Edges = tuple[float, float, float, float]


@dataclass(frozen=True)
class Fitted:
    """Which part of an image is shown, and where.

    Pixels and boxes are moved by the same one, so that they cannot part.

    Args:
        window: Left, top, right and bottom of what is shown, in pixels of the image.
        spot: Left, top, right and bottom of where it is shown, in pixels of the canvas.
        canvas: Height and width of the image as it is loaded.
    """

    window: Edges
    spot: tuple[int, int, int, int]
    canvas: tuple[int, int]

    def moved(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the image as boxes of the canvas, cut at its border; one that lies outside has no area.

        Shapes:
            boxes: [K, 4], left, top, right and bottom in pixels of the image, upright.
            returns: [K, 4], in pixels of the canvas.
        """
        height, width = self.canvas
        placed: np.ndarray = (boxes - _corner(self.window)) * self._scale + _corner(self.spot)
        return placed.clip(0, [width, height, width, height])

    def restored(self, boxes: np.ndarray) -> np.ndarray:
        """Return boxes of the canvas as boxes of the image: what `moved` did to them, undone, but for what it cut."""
        placed: np.ndarray = (boxes - _corner(self.spot)) / self._scale + _corner(self.window)
        return placed

    @property
    def _scale(self) -> np.ndarray:
        """Pixels of the canvas for one of the image, across and down, twice."""
        return np.tile(_extent(self.spot) / _extent(self.window), 2)


def sides(size: Size) -> tuple[int, int]:
    """Return height and width in pixels."""
    return (size, size) if isinstance(size, int) else size


def fitted(image: tuple[int, int], size: Size | None, fit: str) -> Fitted:
    """Say how an image is brought to a size.

    Args:
        image: Its width and height.
        size: To which it is brought; None: it stays as it is.
        fit: `crop` fills the canvas and cuts out the center, `pad` shows the whole image on the middle of black,
            `squash` stretches it; see `data.fit`.
    """
    width, height = image
    canvas = sides(size) if size else (height, width)
    return FITS[fit](width, height, canvas)


def _cropped(width: int, height: int, canvas: tuple[int, int]) -> Fitted:
    tall, wide = canvas
    across = min(width, height * wide / tall)
    down = min(height, width * tall / wide)
    left = (width - across) / 2
    top = (height - down) / 2
    return Fitted((left, top, left + across, top + down), (0, 0, wide, tall), canvas)


def _padded(width: int, height: int, canvas: tuple[int, int]) -> Fitted:
    tall, wide = canvas
    flat = width * tall >= height * wide
    across = wide if flat else max(1, round(tall * width / height))
    down = max(1, round(wide * height / width)) if flat else tall
    left = (wide - across) // 2
    top = (tall - down) // 2
    return Fitted((0, 0, width, height), (left, top, left + across, top + down), canvas)


def _squashed(width: int, height: int, canvas: tuple[int, int]) -> Fitted:
    tall, wide = canvas
    return Fitted((0, 0, width, height), (0, 0, wide, tall), canvas)


def _corner(edges: Edges) -> np.ndarray:
    return np.tile(np.asarray(edges[:2], float), 2)


def _extent(edges: Edges) -> np.ndarray:
    left, top, right, bottom = edges
    return np.array([right - left, bottom - top], float)


FITS: dict[str, Callable[[int, int, tuple[int, int]], Fitted]] = {
    "crop": _cropped, "pad": _padded, "squash": _squashed}

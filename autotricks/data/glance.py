"""Glance: what some of the image files are, before they are brought to one size; it costs little and is told."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .decode import Bad, each
from .fitting import fitted
from .look import Shape, shape_of
from .settings import Settings
from .storage import Stored

MOST = 200      # files that are opened


@dataclass(frozen=True)
class Glance:
    """What was seen.

    Args:
        looked: Images that were looked at.
        cut: Share of their area that `data.fit: crop` cuts off.
        dim: How many of them have deep gray values that fill less than a sixteenth of their range.
    """

    looked: int
    cut: float
    dim: int


def glance(paths: Sequence[Path | Stored], settings: Settings) -> Glance | None:
    """Look at a few of the files, evenly spaced; None where none can be read."""
    count = min(MOST, len(paths))
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    return seen([shape for shape in each(shape_of, chosen) if not isinstance(shape, Bad)], settings)


def seen(shapes: Sequence[Shape], settings: Settings) -> Glance | None:
    """Return what images of these shapes are; None where there are none."""
    if not shapes:
        return None
    crops = settings.size is not None and settings.fit == "crop"
    lost = [_cut(shape.size, settings) for shape in shapes] if crops else [0.0]
    return Glance(len(shapes), sum(lost) / len(lost), sum(shape.dim for shape in shapes))


def _cut(image: tuple[int, int], settings: Settings) -> float:
    """Return the share of an image's area that is cut off."""
    left, top, right, bottom = fitted(image, settings.size, settings.fit).window
    width, height = image
    return 1 - (right - left) * (bottom - top) / (width * height)

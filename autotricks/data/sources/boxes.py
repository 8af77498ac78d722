"""Boxes: where the labels of an image are, in pixels of its file or of the image as it is loaded."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..fitting import Size, fitted


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one image, one for each of its labels.

    Args:
        edges: [K, 4], float64: left, top, right and bottom in pixels of the image, upright.
        ignored: Whether finding each is neither right nor wrong.
        size: Width and height of the image, upright.
    """

    edges: np.ndarray
    ignored: tuple[bool, ...]
    size: tuple[int, int]

    def brought(self, size: Size | None, fit: str) -> np.ndarray:
        """Return the edges in pixels of the image as it is loaded, [K, 4]; one that was cut off has no area."""
        return fitted(self.size, size, fit).moved(self.edges)

    def only(self, rows: Sequence[int]) -> Boxes:
        """Return some of the boxes."""
        return Boxes(self.edges[list(rows)], tuple(self.ignored[row] for row in rows), self.size)


def solid(edges: np.ndarray) -> list[int]:
    """Return the rows of [K, 4] whose boxes have an area."""
    return np.flatnonzero((edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])).tolist()

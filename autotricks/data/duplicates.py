"""Equal images and images that look alike, within a split and across splits."""
from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..core.images import Images
from ..core.targets import Targets
from ..errors import DataError
from .fingerprint import digests

GRID = 8
SIDE = 16          # comparisons a row of the hash; side of the thumbnail
BITS = 26                   # of 128 that may differ
ALIKE = 0.95
SLOPES = 0.7   # correlation of thumbnails, and of their slopes, from which images look alike
MOST = 100_000              # images of which each two are compared: 20 seconds on a core
BLOCK = 512
CANDIDATES = 100_000


def digest(image: Image.Image) -> bytes:
    """Return 16 bytes that name the pixels of an L or RGB image; gray that is stored as color is still gray."""
    size = f"{image.width},{image.height},".encode()
    return hashlib.blake2b(size + image.convert("RGB").tobytes(), digest_size=16).digest()


def difference_hash(image: Image.Image) -> bytes:
    """Return 128 bits: whether each cell of a 9 x 9 gray grid is brighter than its left and its upper neighbor.

    The horizontal half is dHash (N. Krawetz, "Kind of like that", 2013); the vertical half tells apart images that
    share rows of sky, sea or grass.
    """
    gray = np.asarray(image.convert("L").resize((GRID + 1, GRID + 1), Image.Resampling.BOX))
    across = gray[:GRID, 1:] > gray[:GRID, :-1]
    down = gray[1:, :GRID] > gray[:-1, :GRID]
    return np.packbits(np.concatenate([across.ravel(), down.ravel()])).tobytes()


def thumbnail(image: Image.Image) -> bytes:
    """Return the image as 16 x 16 gray values."""
    return image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


def equal(marks: Sequence[bytes]) -> list[list[int]]:
    """Return the rows of each group of two or more equal marks, in the order of their first rows."""
    rows = defaultdict(list)
    for row, mark in enumerate(marks):
        rows[mark].append(row)
    return [group for group in rows.values() if len(group) > 1]


@dataclass(frozen=True, eq=False)
class Alike:
    """Pairs of images that look alike and are not equal.

    Args:
        pairs: [P, 2], rows, the lower one first.
        looked: Images that were compared, each with each.
        complete: Whether every pair of them is listed; False where so many hashes agree that some were left out.
    """

    pairs: np.ndarray
    looked: int
    complete: bool


def alike(marks: Sequence[bytes], hashes: Sequence[bytes], thumbnails: Sequence[bytes]) -> Alike:
    """Find images of which the hashes differ in at most 26 of 128 bits and the thumbnails correlate by 0.95 or more.

    The hash finds candidates, the correlation, which does not heed brightness and contrast, confirms them; that of the
    slopes, 0.7 or more, keeps one sunset from looking like another. Images of one gray value look like nothing.

    Args:
        marks: `digest` of each image; equal ones are no pair.
        hashes: `difference_hash` of each image.
        thumbnails: `thumbnail` of each image.

    Cost: N^2 / 2 comparisons of 16 bytes; above 100,000 images, of 100,000 evenly spaced ones.
    """
    rows = np.unique(np.linspace(0, len(marks) - 1, min(MOST, len(marks))).astype(np.int64))
    codes = np.frombuffer(b"".join(hashes[row] for row in rows), np.uint64).reshape(-1, 2)
    small = np.frombuffer(b"".join(thumbnails[row] for row in rows), np.uint8).reshape(-1, SIDE * SIDE)
    matches = [np.empty((0, 2), np.int64)]
    complete = True
    for first in range(0, len(rows), BLOCK):
        here = codes[first:first + BLOCK, None]
        there = codes[None, first:]
        apart = np.bitwise_count(here[..., 0] ^ there[..., 0]) + np.bitwise_count(here[..., 1] ^ there[..., 1])
        left, right = np.nonzero(np.triu(apart <= BITS, 1))
        complete &= len(left) <= CANDIDATES
        left = left[:CANDIDATES] + first
        right = right[:CANDIDATES] + first
        one = small[left]
        two = small[right]
        close = (_correlation(one, two) >= ALIKE) & (_correlation(_slopes(one), _slopes(two)) >= SLOPES)
        matches.append(np.stack([left[close], right[close]], 1))
    pairs = rows[np.concatenate(matches)]
    different = [marks[one] != marks[two] for one, two in pairs.tolist()]
    return Alike(pairs[np.array(different, bool)], len(rows), complete)


def _slopes(thumbnails: np.ndarray) -> np.ndarray:
    """Return differences of neighbors, across and down, each less its mean, a ramp over all the image; [N, 480]."""
    values = thumbnails.reshape(-1, SIDE, SIDE).astype(np.float32)
    both = [np.diff(values, axis=axis).reshape(-1, SIDE * (SIDE - 1)) for axis in (2, 1)]
    return np.concatenate([slopes - slopes.mean(1, keepdims=True) for slopes in both], 1)


def _correlation(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each row; 0 where a row is constant."""
    one, two = (values - values.mean(1, keepdims=True, dtype=np.float32) for values in (one, two))
    norms = np.sqrt((one * one).sum(1) * (two * two).sum(1))
    correlation: np.ndarray = np.divide((one * two).sum(1), norms, out=np.zeros_like(norms), where=norms > 0)
    return correlation


def contradictions(marks: Sequence[bytes], labels: Sequence[object]) -> int:
    """Return how many images bear, pixel for pixel, other labels than their copies."""
    return sum(len(group) for group in equal(marks) if len({labels[row] for row in group}) > 1)


def apart(split: str, images: Images, targets: Targets, others: Iterable[Images]) -> Tensor:
    """Return the rows of the images that are, pixel for pixel, in none of the others.

    Args:
        split: For messages.
        images: uint8 [N, D, H, W], in memory or streamed.
        targets: Of N images.
        others: Images of the splits that are read later.

    Raises:
        DataError: When a class is left without images.
    """
    known = {mark for other in others for mark in digests(other)}
    rows = torch.tensor([row for row, mark in enumerate(digests(images)) if mark not in known], dtype=torch.int64)
    labels = targets.listed()
    lost = {label for row in labels for label in row} - {label for row in rows.tolist() for label in labels[row]}
    if lost:
        raise DataError(f"data.duplicates: drop leaves {len(lost)} of the classes without {split} images: all of "
                        "theirs are in another split too. Set data.duplicates to keep, or mend the splits.")
    return rows

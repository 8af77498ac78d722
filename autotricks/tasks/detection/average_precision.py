"""Average precision as COCO defines it, over ten overlaps, by class and by size of objects."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
SIZES = {"small": (0.0, 32.0 ** 2), "medium": (32.0 ** 2, 96.0 ** 2), "large": (96.0 ** 2, 1e10)}
EVERY = (0.0, 1e10)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Objects:
    """What is in an image, or what was found in it.

    Shapes:
        boxes: [K, 4], left, top, right, bottom.
        labels: [K], int.
        scores: [K], of what was found; whatever of what is there.
        ignored: [K], bool; finding one of these is neither right nor wrong.
    """

    boxes: Array
    labels: NDArray[np.int64]
    scores: Array
    ignored: NDArray[np.bool_]


def precisions(truths: Sequence[Objects], founds: Sequence[Objects], classes: int,
               area: tuple[float, float] = EVERY) -> tuple[Array, Array]:
    """Return the average precision and the largest recall of each class at each overlap; nan for a class not there.

    Args:
        truths: Of each image.
        founds: Of each image, at most 100.
        classes: Number of classes.
        area: Of the objects that count, in square pixels; others are ignored.

    Shapes:
        returns: [C, 10] each.
    """
    precision = np.full((classes, len(OVERLAPS)), np.nan)
    recall = np.full((classes, len(OVERLAPS)), np.nan)
    for label in range(classes):
        rows = [_matched(truth, found, label, area) for truth, found in zip(truths, founds, strict=True)]
        there = sum(count for count, _, _, _ in rows)
        if not there:
            continue
        scores = np.concatenate([score for _, score, _, _ in rows])
        right = np.concatenate([matched for _, _, matched, _ in rows], 1)
        counts = np.concatenate([counted for _, _, _, counted in rows], 1)
        order = np.argsort(-scores, kind="mergesort")
        for place in range(len(OVERLAPS)):
            hits = right[place, order][counts[place, order]]
            precision[label, place], recall[label, place] = _curve(hits, there)
    return precision, recall


def _matched(truth: Objects, found: Objects, label: int, area: tuple[float, float]) -> tuple[
        int, Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Match what was found in an image to what is there, the likeliest first.

    Returns:
        How many objects count; and of what was found the scores [D], whether it is right and whether it counts, both
        [10, D].
    """
    own = truth.labels == label
    boxes = truth.boxes[own]
    ignored = truth.ignored[own] | _outside(boxes, area)
    order = np.argsort(ignored, kind="mergesort")       # those that count come first
    boxes, ignored = boxes[order], ignored[order]
    mine = np.flatnonzero(found.labels == label)
    mine = mine[np.argsort(-found.scores[mine], kind="mergesort")]
    overlaps = _overlaps(found.boxes[mine], boxes)
    right = np.zeros((len(OVERLAPS), len(mine)), bool)
    counts = np.ones_like(right)
    for place, least in enumerate(OVERLAPS):
        taken = np.zeros(len(boxes), bool)
        for row in range(len(mine)):
            best = _best(overlaps[row], taken, ignored, least)
            if best is None:
                counts[place, row] = not _outside(found.boxes[mine[row]][None], area)[0]
                continue
            taken[best] = True
            right[place, row] = not ignored[best]
            counts[place, row] = not ignored[best]
    return int((~ignored).sum()), found.scores[mine], right, counts


def _best(overlaps: Array, taken: NDArray[np.bool_], ignored: NDArray[np.bool_], least: float) -> int | None:
    """Return the object that overlaps most and is free, one that counts if any does; None where none does enough."""
    free = ~taken & (overlaps >= min(least, 1 - 1e-10))
    for kind in (~ignored, ignored):
        able = np.flatnonzero(free & kind)
        if len(able):
            return int(able[::-1][overlaps[able[::-1]].argmax()])      # the last of equal ones, as COCO takes it
    return None


def _curve(hits: NDArray[np.bool_], there: int) -> tuple[float, float]:
    """Return the mean precision at 101 recalls, precision never rising with recall, and the largest recall."""
    true = np.cumsum(hits)
    recall = true / there
    precision = true / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    values = [precision[place] if place < len(precision) else 0.0 for place in places]
    return float(np.mean(values)), float(recall[-1]) if len(recall) else 0.0


def _outside(boxes: Array, area: tuple[float, float]) -> NDArray[np.bool_]:
    size = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    outside: NDArray[np.bool_] = (size < area[0]) | (size > area[1])
    return outside


def _overlaps(left: Array, right: Array) -> Array:
    """Return the intersection over union of each two boxes, [L, R]."""
    low = np.maximum(left[:, None, :2], right[None, :, :2])
    high = np.minimum(left[:, None, 2:], right[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(2)
    sizes = [(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) for boxes in (left, right)]
    union = sizes[0][:, None] + sizes[1][None] - common
    return np.asarray(common / np.maximum(union, 1e-12))

"""Average precision as COCO defines it, over ten overlaps, by class and by size of objects."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.targets import Targets

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
Area = tuple[float, float]      # in square pixels, from and to
EVERY: Area = (0.0, 1e10)
SIZES: dict[str, Area] = {"small": (0.0, 32.0 ** 2), "medium": (32.0 ** 2, 96.0 ** 2), "large": (96.0 ** 2, 1e10)}
HIGHEST = 1 - 1e-10             # an overlap that two equal boxes surely have
AT_ONCE = 2 ** 22               # numbers of one step of the matching
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Truths:
    """What is in N images with at most K objects each; what is neither counted nor ignored is padding.

    What was found on an ignored object is neither right nor wrong, however often it is found: COCO's crowds.

    Shapes:
        boxes: [N, K, 4], left, top, right, bottom.
        labels: [N, K].
        counted: [N, K].
        ignored: [N, K].
    """

    boxes: Numbers
    labels: Labels
    counted: Flags
    ignored: Flags

    @classmethod
    def of(cls, targets: Targets) -> Truths:
        """Return what targets say is there; a box with an area and a share of 0 is ignored."""
        assert targets.boxes is not None, "objects have boxes"
        boxes = targets.boxes.double().cpu().numpy()
        solid = areas(boxes) > 0
        there = targets.shares.cpu().numpy() > 0
        return cls(boxes, targets.labels.cpu().numpy(), solid & there, solid & ~there)

    def __getitem__(self, rows: slice) -> Truths:
        return Truths(self.boxes[rows], self.labels[rows], self.counted[rows], self.ignored[rows])

    def has(self, area: Area) -> bool:
        """Return whether an object that counts is of this size."""
        return bool((self.counted & inside(self.boxes, area)).any())


@dataclass(frozen=True, eq=False)
class Found:
    """What was found in N images, at most R objects in each, the likeliest first; a score of 0 is padding.

    Shapes:
        boxes: [N, R, 4].
        labels: [N, R].
        scores: [N, R].
    """

    boxes: Numbers
    labels: Labels
    scores: Numbers

    @classmethod
    def of(cls, decoded: Tensor) -> Found:
        """Return what `decode.found` says, [N, R, 6]."""
        values = decoded.double().cpu().numpy()
        return cls(values[..., :4], values[..., 5].astype(np.int64), values[..., 4])

    def __getitem__(self, rows: slice) -> Found:
        return Found(self.boxes[rows], self.labels[rows], self.scores[rows])


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of each object that was found, at each of T overlaps.

    Shapes:
        right: [T, N, R], whether it is an object that counts, not found before.
        wrong: [T, N, R], whether it is none; what is neither is ignored, or padding.
        objects: [T, N, R], which object of the image it was matched to, -1 for none.
    """

    right: Flags
    wrong: Flags
    objects: Labels


def matches(truths: Truths, found: Found, area: Area = EVERY) -> Matches:
    """Match what was found in each image to what is there, the likeliest first, each to the object it overlaps most.

    Args:
        truths: What is there.
        found: What was found.
        area: Of the objects that count, in square pixels.
    """
    step = max(1, AT_ONCE // (len(OVERLAPS) * max(1, truths.labels.shape[1])))
    parts = [_matched(truths[start:start + step], found[start:start + step], area)
             for start in range(0, max(1, len(truths.labels)), step)]
    return Matches(*(np.concatenate([getattr(part, name) for part in parts], 1)
                     for name in ("right", "wrong", "objects")))


def _matched(truths: Truths, found: Found, area: Area) -> Matches:
    images, count = found.scores.shape
    overlaps = _overlaps(found.boxes, truths)                               # [N, R, K]
    alike = found.labels[:, :, None] == truths.labels[:, None, :]
    counted = truths.counted & inside(truths.boxes, area)
    other = (truths.counted & ~counted) | truths.ignored
    free = np.ones((len(OVERLAPS), *truths.labels.shape), bool)
    least = np.minimum(OVERLAPS, HIGHEST)[:, None, None]
    objects = np.full((len(OVERLAPS), images, count), -1)
    for rank in range(count):
        shared = np.where(alike[:, rank], overlaps[:, rank], -1.0)          # [N, K]
        near = (shared >= least) & (free | truths.ignored)                  # [T, N, K]
        first = _last_best(np.where(near & counted, shared, -1.0))
        second = _last_best(np.where(near & other, shared, -1.0))
        chosen = np.where(first >= 0, first, second)
        objects[:, :, rank] = np.where(found.scores[:, rank] > 0, chosen, -1)
        place = objects[:, :, rank, None]
        np.put_along_axis(free, np.maximum(place, 0),
                          np.take_along_axis(free, np.maximum(place, 0), 2) & (place < 0), 2)
    rows = np.maximum(objects, 0)
    matched = objects >= 0
    right = matched & np.take_along_axis(np.broadcast_to(counted, free.shape), rows, 2)
    wrong = ~matched & (found.scores > 0) & inside(found.boxes, area)
    return Matches(right, wrong, objects)


def _last_best(values: Numbers) -> Labels:
    """Return where the largest value of the last axis is, the last of equal ones as COCO takes it; -1 if negative."""
    last = values.shape[-1] - 1
    place = last - values[..., ::-1].argmax(-1)
    return np.where(np.take_along_axis(values, place[..., None], -1)[..., 0] >= 0, place, -1)


@dataclass(frozen=True, eq=False)
class Curves:
    """How precise what was found is at each recall, at each of T overlaps; nan for a class without objects.

    Shapes:
        precision: [C, T, 101], at recalls of 0, .01, ..., 1.
        scores: [C, T, 101], from which on this recall is reached.
        recall: [C, T], the largest.
    """

    precision: Numbers
    scores: Numbers
    recall: Numbers

    @property
    def average(self) -> Numbers:
        """The average precision of each class at each overlap, [C, T]."""
        return np.asarray(self.precision.mean(2))


def curves(truths: Truths, found: Found, classes: int, area: Area = EVERY) -> Curves:
    """Return how precision falls with recall, by class.

    Args:
        truths: What is there.
        found: What was found.
        classes: Number of classes C.
        area: Of the objects that count, in square pixels; others are ignored.
    """
    matched = matches(truths, found, area)
    counted = truths.labels[truths.counted & inside(truths.boxes, area)]
    there = np.bincount(counted, minlength=classes)
    order = np.argsort(-found.scores.ravel(), kind="stable")
    scores = found.scores.ravel()[order]
    labels = found.labels.ravel()[order]
    right = matched.right.reshape(len(OVERLAPS), -1)[:, order]
    wrong = matched.wrong.reshape(len(OVERLAPS), -1)[:, order]
    precision = np.full((classes, len(OVERLAPS), len(RECALLS)), np.nan)
    threshold = np.full_like(precision, np.nan)
    recall = np.full((classes, len(OVERLAPS)), np.nan)
    for label in there.nonzero()[0]:
        own = (labels == label) & (scores > 0)
        true = right[:, own].cumsum(1)
        false = wrong[:, own].cumsum(1)
        reached = true / there[label]
        exact = np.maximum.accumulate((true / np.maximum(true + false, 1))[:, ::-1], 1)[:, ::-1]
        for number, row in enumerate(reached):
            places = np.searchsorted(row, RECALLS)
            precision[label, number] = np.append(exact[number], 0.0)[places]
            threshold[label, number] = np.append(scores[own], 0.0)[places]
            recall[label, number] = row[-1] if len(row) else 0.0
    return Curves(precision, threshold, recall)


def areas(boxes: Numbers) -> Numbers:
    """Return the area of each box; [..., 4] to [...]."""
    return np.asarray(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1))


def inside(boxes: Numbers, area: Area) -> Flags:
    """Return whether each box is of a size."""
    size = areas(boxes)
    return np.asarray((size >= area[0]) & (size <= area[1]))


def _overlaps(boxes: Numbers, truths: Truths) -> Numbers:
    """Return the intersection of what was found and what is there over their union, [N, R, K].

    That with an ignored object is over what was found: a crowd has a larger box than what is found in it.
    """
    low = np.maximum(boxes[:, :, None, :2], truths.boxes[:, None, :, :2])
    high = np.minimum(boxes[:, :, None, 2:], truths.boxes[:, None, :, 2:])
    common = np.clip(high - low, 0, None).prod(3)
    own = areas(boxes)[:, :, None]
    union = own + areas(truths.boxes)[:, None, :] - common
    return np.asarray(common / np.maximum(np.where(truths.ignored[:, None], own, union), 1e-12))

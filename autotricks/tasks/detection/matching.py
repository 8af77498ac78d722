"""What is in images, what was found in them, and which of what was found goes with which object."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...core.targets import Targets

OVERLAPS = np.linspace(0.5, 0.95, 10)
Area = tuple[float, float]      # in square pixels, from and to
EVERY: Area = (0.0, 1e10)
HIGHEST = 1 - 1e-10             # an overlap that two equal boxes surely have
AT_ONCE = 2 ** 24               # pairs of what was found and what is there that are looked at together
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

    def counts(self, classes: int, area: Area = EVERY) -> Labels:
        """Return how many objects of a size count in each class, [C]."""
        return np.bincount(self.labels[self.counted & inside(self.boxes, area)], minlength=classes)


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

    def reaching(self, thresholds: Numbers) -> Found:
        """Return what is at least as probable as the threshold of its class, [C]; the rest is padding."""
        return Found(self.boxes, self.labels, np.where(self.scores >= thresholds[self.labels], self.scores, 0.0))


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of something found and an object of the same image that overlap.

    Places are those in all images, one after the other: of what was found N * R, of objects N * K.

    Shapes:
        found: [P], ascending.
        objects: [P].
        overlaps: [P], intersection over union; over what was found, with an ignored object: a crowd has a larger box
            than what is found in it.
    """

    found: Labels
    objects: Labels
    overlaps: Numbers

    @classmethod
    def of(cls, truths: Truths, found: Found, least: float = OVERLAPS[0], alike: bool = True) -> Pairs:
        """Return the pairs that overlap by at least `least`, those of one class alone or all."""
        images, places = truths.labels.shape
        step = max(1, AT_ONCE // max(1, places * found.labels.shape[1]))
        starts = range(0, images, step)
        parts = [cls._few(truths[start:start + step], found[start:start + step], least, alike) for start in starts]
        return cls(np.concatenate([part.found + start * found.labels.shape[1] for start, part in zip(starts, parts)]),
                   np.concatenate([part.objects + start * places for start, part in zip(starts, parts)]),
                   np.concatenate([part.overlaps for part in parts]))

    @classmethod
    def _few(cls, truths: Truths, found: Found, least: float, alike: bool) -> Pairs:
        near = (found.scores > 0)[:, :, None] & (truths.counted | truths.ignored)[:, None, :]
        if alike:
            near &= found.labels[:, :, None] == truths.labels[:, None, :]
        image, rank, place = near.nonzero()
        common = overlaps(found.boxes[image, rank], truths.boxes[image, place], truths.ignored[image, place])
        enough = common >= min(least, HIGHEST)
        return cls((image * found.labels.shape[1] + rank)[enough], (image * truths.labels.shape[1] + place)[enough],
                   common[enough])

    def __getitem__(self, rows: Flags | Labels) -> Pairs:
        return Pairs(self.found[rows], self.objects[rows], self.overlaps[rows])

    def preferred(self, first: Flags) -> Pairs:
        """Return the pairs of each thing found in the order in which it would have them, as COCO takes it.

        Those of `first`, [P], come first; then those that overlap more; of equal ones the last object of the image.
        """
        return self[np.lexsort((-self.objects, -self.overlaps, ~first, self.found))]

    def settled(self, levels: Numbers, shared: Flags) -> tuple[Labels, Labels, Labels]:
        """Return which object each thing found gets at each of T least overlaps; the likeliest chooses first.

        All ask at once for the object that they prefer; of those that ask for one, the likeliest keeps it for now, and
        the others ask for their next. What results is the same as if they chose one after the other: the stable
        marriage (Gale and Shapley 1962, https://doi.org/10.2307/2312726) is the only one where all objects prefer
        alike. It takes as many rounds as objects are fought for, not one for each thing found.

        Args:
            levels: Least overlaps.
            shared: Whether an object may be given any number of times.

        Shapes:
            levels: [T].
            shared: [N * K].
            returns: The level, what was found and its object, of all that get one.
        """
        size = int(self.found.max(initial=0)) + 1
        level, pair = np.nonzero(self.overlaps >= np.minimum(levels, HIGHEST)[:, None])
        found = level * size + self.found[pair]
        wanted = level * len(shared) + self.objects[pair]
        holders = np.full(len(levels) * len(shared), -1)
        while True:
            asking = np.flatnonzero(np.diff(found, prepend=-1))
            holders[wanted[asking[::-1]]] = found[asking[::-1]]         # the first of them, as the last that is written
            refused = asking[(holders[wanted[asking]] != found[asking]) & ~shared[wanted[asking] % len(shared)]]
            if not len(refused):
                return found[asking] // size, found[asking] % size, wanted[asking] % len(shared)
            found = np.delete(found, refused)
            wanted = np.delete(wanted, refused)


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of all that was found, at each of T overlaps.

    Shapes:
        right: [T, N * R], whether it is an object that counts, not found before.
        wrong: [T, N * R], whether it is none; what is neither is ignored, or padding.
        objects: [T, N * R], which object, in [N * K], it was matched to, -1 for none.
    """

    right: Flags
    wrong: Flags
    objects: Labels


def matches(truths: Truths, found: Found, pairs: Pairs, area: Area = EVERY, levels: Numbers = OVERLAPS) -> Matches:
    """Match what was found in each image to what is there, the likeliest first, each to the object it overlaps most.

    Args:
        truths: What is there.
        found: What was found.
        pairs: Which of it overlaps which object of its class.
        area: Of the objects that count, in square pixels; others are ignored.
        levels: Least overlaps, [T].
    """
    counted = (truths.counted & inside(truths.boxes, area)).ravel()
    objects = np.full((len(levels), found.scores.size), -1)
    level, place, given = pairs.preferred(counted[pairs.objects]).settled(levels, truths.ignored.ravel())
    objects[level, place] = given
    matched = objects >= 0
    able = (found.scores > 0) & inside(found.boxes, area)
    return Matches(matched & counted[objects], ~matched & able.ravel(), objects)


def areas(boxes: Numbers) -> Numbers:
    """Return the area of each box; [..., 4] to [...]."""
    return np.asarray(np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1))


def inside(boxes: Numbers, area: Area) -> Flags:
    """Return whether each box is of a size; one at its edge is."""
    size = areas(boxes)
    return np.asarray((size >= area[0]) & (size <= area[1]))


def overlaps(found: Numbers, boxes: Numbers, ignored: Flags) -> Numbers:
    """Return the intersection over the union of pairs, over `found` where the other is ignored; [P, 4] to [P]."""
    low = np.maximum(found[:, :2], boxes[:, :2])
    high = np.minimum(found[:, 2:], boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(1)
    own = areas(found)
    union = own + np.where(ignored, common, areas(boxes)) - common
    return np.asarray(common / np.maximum(union, 1e-12))

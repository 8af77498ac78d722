"""What a trained detector does on test, class by class, with thresholds fitted on validation."""
from __future__ import annotations

import numpy as np

from ...core.task import Measured
from ...stats.test_results import Box, ObjectResult, Shown, TestResult
from .average_precision import SIZES, Comparison
from .decode import found
from .errors import ENOUGH, HALF, Diagnosis, mistakes
from .matching import Flags, Found, Labels, Numbers, Pairs, Truths, matches
from .metrics import DetectionMeter

UNKNOWN = 0.5               # threshold of a class of which validation has no object
LARGEST = 200               # classes; with more, a confusion matrix and curves of each are too large to keep
CURVES = {".5": 0, ".75": 5}    # the least overlap, and its place among those of COCO
SPACED = 6                  # images that are shown, evenly spaced
WORST = 6                   # and those in which most is wrong


def tested(validation: Measured, test: Measured, meter: DetectionMeter, classes: int) -> TestResult:
    """Return figures on test: average precision by class and size, what is taken for what, and kinds of error.

    Confusion, mistakes and images are of what is told: as probable as the threshold of its class, which is fitted on
    validation.

    Args:
        validation: Output, [N, A, C + 8], and targets.
        test: Likewise.
        meter: Empty, of test.
        classes: Number of classes C.
    """
    limits = thresholds(*_sides(validation), classes)
    truths, everything = _sides(test)
    meter.update(test.output, test.targets)
    seen = Comparison(truths, everything, classes)
    whole = seen.curves()
    by_class = {"average_precision": whole.average.mean(1), "average_precision_50": whole.average[:, 0],
                "average_recall": whole.recall.mean(1)}
    by_class |= {f"average_precision_{size}": seen.curves(area).average.mean(1) for size, area in SIZES.items()
                 if truths.has(area)}
    told = Diagnosis.of(truths, everything.reaching(limits), classes)
    few = classes <= LARGEST
    curves = {name: whole.precision[:, level] if few else np.nanmean(whole.precision[:, level], 0, keepdims=True)
              for name, level in CURVES.items()}
    objects = ObjectResult({name: lines.tolist() for name, lines in curves.items()},
                           mistakes(told, Diagnosis.of(truths, everything, classes)), shown(told))
    return TestResult({name: float(value) for name, value in meter.compute().items()},
                      {name: figures.tolist() for name, figures in by_class.items()},
                      confusion(told).tolist() if few else None, thresholds=limits.tolist(), objects=objects)


def _sides(measured: Measured) -> tuple[Truths, Found]:
    """Return what is there and what was found."""
    return Truths.of(measured.targets), Found.of(found(measured.output))


def thresholds(truths: Truths, found: Found, classes: int) -> Numbers:
    """Return the probability of each class from which on naming what was found gives the best F1, [C].

    What overlaps an object by one half is right. A threshold lies half-way between the least probability that is to be
    named and the next below it. Of equally good ones the highest is taken; a class without objects has one half.

    Paper: Lipton et al. 2014, https://arxiv.org/abs/1402.1892, on thresholds that maximize F1; here by trying each.
    """
    matched = matches(truths, found, Pairs.of(truths, found, ENOUGH), levels=HALF)
    counts = matched.right[0] | matched.wrong[0]
    there = truths.counts(classes)
    limits = np.full(classes, UNKNOWN)
    for label in there.nonzero()[0]:
        own = np.flatnonzero(counts & (found.labels.ravel() == label))
        limits[label] = _threshold(found.scores.ravel()[own], matched.right[0][own], int(there[label]))
    return limits


def _threshold(scores: Numbers, right: Flags, there: int) -> float:
    """Return the best threshold of one class."""
    if not right.any():
        return UNKNOWN
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    below = np.append(ordered[1:], 0.0)
    f1 = 2 * right[order].cumsum() / (np.arange(1, len(order) + 1) + there)
    best = int(np.where(ordered > below, f1, -1).argmax())      # no threshold lies between equal probabilities
    return float(ordered[best] + below[best]) / 2


def confusion(told: Diagnosis) -> Labels:
    """Return how often each class (row) was taken for each (column), [C + 1, C + 1]; the last is the background.

    An object goes to what was found of its class, as average precision has it. The objects that are left go to what
    is left on them, by at least one half, whatever its class; the rest was missed, or is nothing.
    """
    taken = _taken(told)
    truths = told.truths.labels.ravel()
    labels = told.found.labels.ravel()
    on = taken >= 0
    named = on | told.wrong
    missed = told.truths.counted.ravel().copy()
    missed[taken[on]] = False
    true = np.concatenate([np.where(on, truths[taken], told.classes)[named], truths[missed]])
    guess = np.concatenate([labels[named], np.full(int(missed.sum()), told.classes)])
    size = told.classes + 1
    return np.bincount(true * size + guess, minlength=size * size).reshape(size, size)


def _taken(told: Diagnosis) -> Labels:
    """Return which object, [F], each thing found is on, of its class or of another; -1 for none."""
    taken = np.where(told.right, told.matched.objects[0], -1)
    left = told.near[told.wrong[told.near.found] & ~told.seen[told.near.objects]]
    _, place, given = left.preferred(np.ones(len(left.found), bool)).settled(HALF, np.zeros(len(told.seen), bool))
    taken[place] = given
    return taken


def shown(told: Diagnosis) -> tuple[Shown, ...]:
    """Return what is drawn on some images: evenly spaced ones, and those in which most is wrong or missed."""
    images, ranks = told.found.labels.shape
    missed = (told.truths.counted.ravel() & ~told.seen).reshape(images, -1)
    wrong = told.wrong.reshape(images, ranks)
    right = told.right.reshape(images, ranks)
    spaced = np.arange(min(SPACED, images)) * images // min(SPACED, images)
    worst = [row for row in np.argsort(-(missed.sum(1) + wrong.sum(1)), kind="stable") if row not in spaced][:WORST]

    def boxes(row: int) -> tuple[Box, ...]:
        seen = [Box(_edges(told.found.boxes[row, rank]), int(told.found.labels[row, rank]),
                    round(float(told.found.scores[row, rank]), 4), bool(right[row, rank]))
                for rank in np.flatnonzero(right[row] | wrong[row])]
        return (*seen, *(Box(_edges(told.truths.boxes[row, place]), int(told.truths.labels[row, place]), None, False)
                         for place in np.flatnonzero(missed[row])))
    return tuple(Shown(int(row), boxes(int(row)), row in worst) for row in (*spaced, *worst))


def _edges(box: Numbers) -> tuple[float, float, float, float]:
    left, top, right, bottom = (round(float(edge), 1) for edge in box)
    return left, top, right, bottom

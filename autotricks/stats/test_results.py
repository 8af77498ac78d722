"""What a trained bundle does on test, and what several trainings of it do, class by class."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .spread import SeedStatistics

DIGITS = 4      # of curves, which have many points


@dataclass(frozen=True)
class Calibration:
    """How far stated confidence is to be believed.

    Args:
        temperature: That fits the confidence best on validation; it divides the logits.
        error: Expected calibration error on test as it is.
        scaled_error: With the temperature.
    """

    temperature: float
    error: float
    scaled_error: float


@dataclass(frozen=True)
class Mistakes:
    """Errors of one kind in what is found.

    Args:
        count: How many there are.
        cost: How much the average precision would rise without them.
    """

    count: float
    cost: float


@dataclass(frozen=True)
class Box:
    """A box in a test image.

    Args:
        edges: Left, top, right, bottom in pixels.
        label: Number of its class.
        score: How probable it was; None of an object that was missed.
        right: Whether it is an object of its class.
    """

    edges: tuple[float, float, float, float]
    label: int
    score: float | None
    right: bool


@dataclass(frozen=True)
class Shown:
    """What is drawn on a test image.

    Args:
        row: Number of the image.
        boxes: That were found, and those of objects that were missed.
        worst: Whether it is shown because most is wrong in it.
    """

    row: int
    boxes: tuple[Box, ...]
    worst: bool = False


@dataclass(frozen=True)
class ObjectResult:
    """What a model finds in test images.

    Args:
        curves: Precision of each class at evenly spaced recalls from 0 to 1, [C][R], by the least overlap of what is
            right, such as `.5`; nan of a class without objects.
        mistakes: By kind.
        shown: Some test images.
    """

    curves: Mapping[str, Sequence[Sequence[float]]]
    mistakes: Mapping[str, Mistakes]
    shown: Sequence[Shown] = ()


@dataclass(frozen=True)
class TestResult:
    """What one trained model does on test; a task leaves out what it has not.

    Args:
        metrics: By name.
        by_class: Figures of each class by name, what a reader wants first first; nan where test cannot tell.
        confusion: [C][C], images of each class (row) taken for each class (column). Of objects one row and column
            more, the last: the background, which is taken for objects, and for which objects are taken.
        calibration: Of its confidence.
        thresholds: Probability of each class from which on it is named; fitted on validation.
        objects: What it finds.
    """

    metrics: Mapping[str, float]
    by_class: Mapping[str, Sequence[float]]
    confusion: Sequence[Sequence[int]] | None = None
    calibration: Calibration | None = None
    thresholds: Sequence[float] | None = None
    objects: ObjectResult | None = None


@dataclass(frozen=True)
class ClassResults:
    """What a bundle does class by class, over seeds.

    Args:
        by_class: Figures of each class by name; None where test cannot tell.
        confusion: Counts summed over seeds, true class by predicted class.
        calibration: Means over seeds.
        thresholds: Means over seeds.
        objects: Means over seeds; the images of none.
    """

    by_class: dict[str, tuple[SeedStatistics | None, ...]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] | None = None
    calibration: Calibration | None = None
    thresholds: tuple[float, ...] | None = None
    objects: ObjectResult | None = None

    @classmethod
    def of(cls, rows: Sequence[TestResult]) -> ClassResults:
        """Return the results of one bundle's trainings."""
        by_class = {name: tuple(_spread(values) for values in zip(*(row.by_class[name] for row in rows), strict=True))
                    for name in rows[0].by_class}
        matrices = [row.confusion for row in rows if row.confusion is not None]
        calibrations = [row.calibration for row in rows if row.calibration is not None]
        thresholds = [row.thresholds for row in rows if row.thresholds is not None]
        return cls(by_class, _summed(matrices), _mean(calibrations),
                   tuple(map(fmean, zip(*thresholds, strict=True))) if thresholds else None,
                   _objects([row.objects for row in rows if row.objects is not None]))


def _spread(values: Sequence[float]) -> SeedStatistics | None:
    return None if any(map(math.isnan, values)) else SeedStatistics.of(values)


def _summed(matrices: Sequence[Sequence[Sequence[int]]]) -> tuple[tuple[int, ...], ...] | None:
    if not matrices:
        return None
    return tuple(tuple(map(sum, zip(*lines, strict=True))) for lines in zip(*matrices, strict=True))


def _mean(calibrations: Sequence[Calibration]) -> Calibration | None:
    if not calibrations:
        return None
    return Calibration(fmean(one.temperature for one in calibrations), fmean(one.error for one in calibrations),
                       fmean(one.scaled_error for one in calibrations))


def _objects(results: Sequence[ObjectResult]) -> ObjectResult | None:
    if not results:
        return None
    curves = {overlap: [[round(fmean(values), DIGITS) for values in zip(*lines, strict=True)] for lines in zip(
        *(one.curves[overlap] for one in results), strict=True)] for overlap in results[0].curves}
    return ObjectResult(curves, {kind: Mistakes(fmean(one.mistakes[kind].count for one in results),
                                                fmean(one.mistakes[kind].cost for one in results))
                                 for kind in results[0].mistakes})

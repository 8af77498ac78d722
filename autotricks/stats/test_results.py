"""What a trained bundle does on test, and what several trainings of it do, class by class."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .spread import SeedStatistics


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
class TestResult:
    """What one trained model does on test; a task leaves out what it has not.

    Args:
        metrics: By name.
        by_class: Figures of each class by name, what a reader wants first first; nan where test cannot tell.
        confusion: [C][C], images of each class (row) taken for each class (column).
        calibration: Of its confidence.
        thresholds: Probability of each class from which on it is named; fitted on validation.
    """

    metrics: Mapping[str, float]
    by_class: Mapping[str, Sequence[float]]
    confusion: Sequence[Sequence[int]] | None = None
    calibration: Calibration | None = None
    thresholds: Sequence[float] | None = None


@dataclass(frozen=True)
class ClassResults:
    """What a bundle does class by class, over seeds.

    Args:
        by_class: Figures of each class by name; None where test cannot tell.
        confusion: Counts summed over seeds, true class by predicted class.
        calibration: Means over seeds.
        thresholds: Means over seeds.
    """

    by_class: dict[str, tuple[SeedStatistics | None, ...]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] | None = None
    calibration: Calibration | None = None
    thresholds: tuple[float, ...] | None = None

    @classmethod
    def of(cls, rows: Sequence[TestResult]) -> ClassResults:
        """Return the results of one bundle's trainings."""
        by_class = {name: tuple(_spread(values) for values in zip(*(row.by_class[name] for row in rows), strict=True))
                    for name in rows[0].by_class}
        matrices = [row.confusion for row in rows if row.confusion is not None]
        calibrations = [row.calibration for row in rows if row.calibration is not None]
        thresholds = [row.thresholds for row in rows if row.thresholds is not None]
        return cls(by_class, _summed(matrices), _mean(calibrations),
                   tuple(map(fmean, zip(*thresholds, strict=True))) if thresholds else None)


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

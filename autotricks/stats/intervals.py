"""Intervals of a difference of means, from a few seeds: paired, and of two groups that share no seeds."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean difference and its 95% interval; infinite where there are too few values."""

    mean: float
    low: float
    high: float


def interval(differences: Sequence[float], comparisons: int = 1, overlap: float = 0.0) -> Interval:
    """Return the mean of paired differences and its two-sided 95% interval by Student's t with n - 1 degrees.

    Differences of trainings that share images go together, so that their mean varies more than by S^2 / n. The
    corrected resampled t test takes (1 / n + overlap) S^2.

    Paper: Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366, section 4.

    Args:
        differences: One for each seed or fold.
        comparisons: Intervals that hold together, by Bonferroni: each may err with 5% over their number.
        overlap: Images held out of a training to images that it is trained on, where trainings share these; 0 for
            trainings that differ in their seed alone.
    """
    from scipy.stats import t
    mean = fmean(differences)
    count = len(differences)
    if count < 2:
        return Interval(mean, -math.inf, math.inf)
    error = stdev(differences) * math.sqrt(1 / count + overlap)
    half = float(t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), count - 1)) * error
    return Interval(mean, mean - half, mean + half)


def paired(sign: int, ours: Sequence[float], theirs: Sequence[float], folds: int = 0) -> Interval:
    """Return `ours` minus `theirs`, seed by seed or fold by fold, turned by `sign` so that more is better.

    Args:
        sign: -1 where less is better, else 1.
        ours: Figures of one bundle.
        theirs: Those of the other, in the same order.
        folds: Over how many folds they are; 0 for seeds alone.
    """
    overlap = 1 / (folds - 1) if folds else 0.0
    return interval([sign * (one - other) for one, other in zip(ours, theirs, strict=True)], overlap=overlap)


def unpaired(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return the difference of two means and its two-sided 95% interval by Welch's t; variances may differ."""
    from scipy.stats import ttest_ind
    mean = fmean(ours) - fmean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return Interval(mean, -math.inf, math.inf)
    if len(set(ours)) == len(set(theirs)) == 1:     # without any spread Welch's t is 0 / 0
        return Interval(mean, mean, mean)
    bounds = ttest_ind(ours, theirs, equal_var=False).confidence_interval(CONFIDENCE)
    return Interval(mean, float(bounds.low), float(bounds.high))

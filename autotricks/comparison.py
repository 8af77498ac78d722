"""Comparison: what paired differences of two bundles say, and in which words."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from .tested import Spread

CONFIDENCE = 0.95
METHOD = "paired differences over seeds, Student's t"


@dataclass(frozen=True)
class Interval:
    """A mean difference and its 95% interval; infinite for a single pair."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Kept:
    """What fresh seeds say of the figure that must not be lost.

    Args:
        metric: Its name, without `val/`.
        within: How much worse than the baseline's it may be.
        validation: Of each bundle, by trial number.
        lost: Trial numbers of the bundles that lose more than that on validation, on the mean of the seeds.
        difference: Champion minus baseline on test, turned so that more is better.
    """

    metric: str
    within: float
    validation: dict[int, Spread]
    lost: tuple[int, ...]
    difference: Interval


def interval(differences: Sequence[float], comparisons: int = 1) -> Interval:
    """Return the mean of paired differences and its two-sided 95% interval by Student's t with n - 1 degrees.

    Args:
        differences: One for each seed.
        comparisons: Intervals that hold together, by Bonferroni: each may err with 5% over their number.
    """
    from scipy.stats import t
    mean, count = fmean(differences), len(differences)
    if count < 2:
        return Interval(mean, -math.inf, math.inf)
    half = float(t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), count - 1)) * stdev(differences) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def paired(sign: int, ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """Return `ours` minus `theirs`, seed by seed, turned by `sign` so that more is better."""
    return interval([sign * (one - other) for one, other in zip(ours, theirs, strict=True)])


def verdict(difference: Interval, same: bool, kept: Kept | None = None) -> str:
    """Return in words what the difference of champion and baseline says; `same` if they are one bundle."""
    if kept and kept.difference.mean < -kept.within:
        return (f"no evidence of improvement: on test {kept.metric} is {-kept.difference.mean:.4f} worse, more than "
                f"{kept.within:g}")
    if same:
        return "no evidence of improvement: the baseline itself was the best on validation"
    if difference.low > 0:
        return "better than the baseline"
    if difference.high < 0:
        return "worse than the baseline"
    if difference.mean >= 0 and math.isfinite(difference.low):
        return "no evidence of improvement: the interval holds zero"
    return "no evidence of improvement"

"""Comparison: what paired differences of two bundles say, and in which words."""
from __future__ import annotations

import math
from dataclasses import dataclass

from .intervals import Interval
from .spread import SeedStatistics

BASELINE = "baseline"
METHOD = "paired differences over seeds, Student's t"
OVER_FOLDS = "paired differences over folds, corrected resampled t"


def counted(trainings: int, folds: int) -> str:
    """Return in words over what a figure is: `5 folds`, or `5 fresh seeds`.

    Args:
        trainings: Of each bundle.
        folds: Of the images; 0 where trainings differ in their seed alone.
    """
    return f"{folds} folds" if folds else f"{trainings} fresh seed{'s' * (trainings > 1)}"


@dataclass(frozen=True)
class Constraint:
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
    validation: dict[int, SeedStatistics]
    lost: tuple[int, ...]
    difference: Interval


def verdict(difference: Interval, same: bool, kept: Constraint | None = None) -> str:
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


@dataclass(frozen=True)
class Addition:
    """What the search added to the best of the bundles that it started from.

    Args:
        start: Trial number of that bundle.
        name: What it is called.
        difference: Champion minus start bundle on test, turned so that more is better.
        verdict: In words.
    """

    start: int
    name: str
    difference: Interval
    verdict: str


def added(difference: Interval, name: str, same: bool, nothing: bool) -> str:
    """Return in words what a search added to the best bundle that it started from.

    Args:
        difference: Champion minus that bundle.
        name: Of that bundle.
        same: Whether the champion is that bundle.
        nothing: Whether the champion is the baseline.
    """
    if nothing:
        return "nothing helps: on validation no bundle was better than the baseline"
    if same:
        return f"no more than the published bundle {name}: on validation nothing was better"
    if difference.low > 0:
        return f"added to the published bundle {name}" if name != BASELINE else "added to the baseline"
    if difference.high < 0:
        return f"worse than the published bundle {name}" if name != BASELINE else "worse than the baseline"
    sure = "the interval holds zero" if math.isfinite(difference.low) else "one seed gives no interval"
    return f"no evidence that it added anything to {name}: {sure}"

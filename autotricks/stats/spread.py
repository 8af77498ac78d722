"""A figure over seeds."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class SeedStatistics:
    """A figure over seeds: mean, standard deviation (nan for one seed) and the values."""

    mean: float
    deviation: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> SeedStatistics:
        """Return the spread of some values."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else math.nan, tuple(values))

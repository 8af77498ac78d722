"""Rungs: the budgets at which trials are compared, and the rule that decides who goes on."""
from __future__ import annotations

import bisect
import math


def budgets(epochs: int, first: int, reduction: int) -> tuple[int, ...]:
    """Return the rungs' budgets in epochs: rising to `epochs`, each `reduction` times the one before.

    Args:
        epochs: Budget of the last rung.
        first: Smallest budget that is worth judging; no rung lies below it.
        reduction: How many trials share a place on the next rung, >= 2.
    """
    result = [epochs]
    while (smaller := round(epochs / reduction ** len(result))) >= first:
        result.append(smaller)
    return tuple(sorted(set(result)))


class Halving:
    """Asynchronous successive halving: at each rung a trial goes on if it is among the best 1/reduction so far.

    Decisions are those of Ray Tune's `ASHAScheduler`: a score below the (1 - 1/reduction) quantile of the scores
    recorded at the rung before it stops the trial; the first to arrive goes on. Trials of which a trick has still to
    open are compared among themselves: what they will be cannot be seen yet.

    Paper: Li et al. 2020, https://arxiv.org/abs/1810.05934, in the stopping form of Ray Tune.
    """

    def __init__(self, reduction: int, rungs: int):
        self._reduction = reduction
        self._scores: list[tuple[list[float], list[float]]] = [([], []) for _ in range(rungs)]  # sorted

    def keeps(self, rung: int, score: float, waits: bool = False) -> bool:
        """Record a score (larger is better) at a rung and return whether its trial goes on.

        Args:
            rung: Number of the rung.
            score: What the trial scored there.
            waits: Whether a trick of the trial has still to open.
        """
        recorded = self._scores[rung][waits]
        cutoff = percentile(recorded, (1 - 1 / self._reduction) * 100) if recorded else -math.inf
        bisect.insort(recorded, score)
        return score >= cutoff


def percentile(ordered: list[float], percent: float) -> float:
    """Return a percentile of a sorted list, between two neighbours, to the bit as NumPy rounds it.

    Cost: that of looking up two of them, however many there are.
    """
    position = percent / 100 * (len(ordered) - 1)
    below = math.floor(position)
    part = position - math.floor(position)
    low = ordered[below]
    high = ordered[min(below + 1, len(ordered) - 1)]
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)

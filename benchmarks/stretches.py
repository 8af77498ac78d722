"""Trainings of a benchmark set as a search sees them: rung by rung, from the store as far as they are there."""
from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sets
from trainings import ACCURACY, LOSS, Running, Store

from autotricks.core.bundle import Bundle
from autotricks.core.reporting import End
from autotricks.runs.trial import Outcome


@dataclass
class Bench:
    """One set with its trainings.

    Args:
        name: Of the set.
        folder: With the files of the sets.
        store: Where trainings are kept.
        priors: Folder with a prior for each set that was not learned from it; None takes the one that ships.
    """

    name: str
    folder: Path
    store: Store
    priors: Path | None = None

    def train(self, bundle: Bundle) -> dict[str, Any]:
        """Return a whole training, done now or before."""
        return self.store.train(self.name, bundle, sets.dataset(self.name, self.folder))

    def stretch(self, bundle: Bundle) -> Stretch:
        """Return a training that goes on as far as one asks."""
        return Stretch(self, bundle)


class Stretch:
    """A training read from the store as far as it is there, and trained from there on."""

    def __init__(self, bench: Bench, bundle: Bundle):
        self._bench, self.bundle = bench, bundle
        self._row = bench.store.find(bench.name, bundle.hash)
        self._running: Running | None = None

    def until(self, epochs: int) -> dict[str, Any]:
        """Return the training's row, at least so many epochs long unless it ended before."""
        if self._row and (self._row["end"] or len(self._row["accuracy"]) >= epochs):
            return self._row
        if self._running is None:
            self._running = Running(self.bundle, sets.dataset(self._bench.name, self._bench.folder))
        self._running.until(epochs)
        self._row = self._bench.store.add(self._bench.name, self._running.row())
        return self._row


def outcome_of(row: dict[str, Any], rung: int, budget: int, whole: int, before: float) -> tuple[Outcome, float]:
    """Return what a trial reached at a rung, and the epochs that it has spent by then.

    Args:
        row: Of its training, at least so long.
        rung: Number of the rung.
        budget: Epochs of the rung.
        whole: Epochs of the last.
        before: Epochs spent before this rung.
    """
    extra = row["spent"] - len(row["accuracy"])      # of a test of rates, say, before the first epoch
    reached = min(budget, len(row["accuracy"]))
    spent = reached + max(0.0, extra)
    broken = row["end"] not in (None, "finished") and reached == len(row["accuracy"])
    end = None
    if broken:
        end = End(row["end"])
    elif budget == whole:
        end = End.FINISHED
    metrics: dict[str, float] = {}
    if reached and row["accuracy"][reached - 1] is not None:
        loss = row["loss"][reached - 1]
        metrics = {ACCURACY: row["accuracy"][reached - 1], LOSS: math.nan if loss is None else loss}
    return Outcome(rung, end, metrics, [], spent - before, 0.0), spent

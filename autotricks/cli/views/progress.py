"""How long what is left of a search takes, by what its trials have really taken."""
from __future__ import annotations

import math
import time
from dataclasses import replace

from ...probes.duration import Duration
from ...tuning.workload import Workload


class Progress:
    """Counts what a search and its confirmation have done, and how long they took for it.

    What was expected beforehand counts as much as what one full training takes.

    Args:
        work: What is to be trained.
        expected: How long that takes; None where nobody knows.
        deadline: After which no further trial begins, on the monotonic clock.

    Attributes:
        work: What is to be trained and what is done.
        fresh: Trainings of the confirmation that are done, and how many there are; None before it.
    """

    def __init__(self, work: Workload, expected: Duration | None = None, deadline: float = math.inf):
        self.work = work
        self.fresh: tuple[int, int] | None = None
        self._deadline = deadline
        self._planned = expected.search / work.epochs if expected and work.epochs else 0.0    # seconds an epoch
        self._before = work.spent
        self._began = time.monotonic()
        self._again = (self._began, 0)      # when confirmation began, and with how many trainings done before

    def reached(self, epochs: float) -> None:
        """Count the epochs of a trial that has come to a rung."""
        self.work = replace(self.work, spent=self.work.spent + epochs)

    def ended(self) -> None:
        """Count a trial that has ended."""
        self.work = replace(self.work, ended=self.work.ended + 1)

    def confirmed(self, done: int, total: int) -> None:
        """Count the trainings of the confirmation."""
        if self.fresh is None:
            self._again = (time.monotonic(), done)
        self.fresh = (done, total)

    def left(self) -> float:
        """Return the seconds that are left; 0 where nothing is, or nobody knows."""
        now = time.monotonic()
        if self.fresh is None:
            search = min(self.work.epochs * self._pace(now - self._began), max(0.0, self._deadline - now))
            return search + self.work.confirmations * self.work.length * self._pace(now - self._began)
        began, before = self._again
        done, total = self.fresh
        if done == before:
            return (total - done) * self.work.length * self._pace(now - self._began)
        return (now - began) / (done - before) * (total - done)

    def _pace(self, gone: float) -> float:
        """Return the seconds of an epoch of all trials at a time; 0 where nobody knows."""
        epochs = self.work.spent - self._before
        sure = self.work.length if self._planned else 0
        return (sure * self._planned + gone) / (sure + epochs) if sure + epochs and (self._planned or epochs) else 0.0

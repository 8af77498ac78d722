"""What a trial tells while it trains, and what it is told: Metrics, Verdict, Reporter."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Protocol

OnProgress = Callable[[int, int], None]     # hears how many are done, of how many


def silent(done: int, total: int) -> None:
    """Say nothing of progress."""


@dataclass(frozen=True)
class Metrics:
    """The figures at the end of one epoch: `val/accuracy`, `train/loss` and so on."""

    epoch: int
    values: dict[str, float]

    @property
    def finite(self) -> bool:
        """Whether every figure is a finite number."""
        return all(math.isfinite(value) for value in self.values.values())


class Verdict(Enum):
    """What the listener wants after a report."""

    CONTINUE = "continue"
    STOP = "stop"


class End(StrEnum):
    """Why a trial ended."""

    FINISHED = "finished"            # trained to the last epoch
    STOPPED = "stopped"              # told to stop at a report or rung
    DIVERGED = "diverged"            # a loss or metric was not finite, or the loss exploded
    OUT_OF_MEMORY = "out_of_memory"  # not even the smallest micro-batch fits
    FAILED = "failed"                # an error, retried in vain


class Reporter(Protocol):
    """Whoever listens to a trial."""

    def __call__(self, metrics: Metrics) -> Verdict:
        """Hear the figures of an epoch and say how it goes on."""


@dataclass
class ListReporter:
    """Keep every report; always continue."""

    reports: list[Metrics] = field(default_factory=list)

    def __call__(self, metrics: Metrics) -> Verdict:
        """Keep the figures; continue."""
        self.reports.append(metrics)
        return Verdict.CONTINUE

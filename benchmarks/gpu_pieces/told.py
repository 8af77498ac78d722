"""What a piece is told, and what all of them do with it."""
from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from machine import Arm, SeedStatistics, spread


@dataclass(frozen=True)
class Told:
    """What a piece is told.

    Args:
        device: `cuda`, or `cpu` to see that all of it runs.
        quick: Whether small things are to be trained, of which nothing is concluded.
        deadline: When the piece is ended, by `time.monotonic`.
        data: A file of CIFAR-10, as NumPy's npz; None: noise of the same shape.
        bounds: What the device does at best, by name, as the first piece found it: bytes or operations a second.
    """

    device: str
    quick: bool
    deadline: float
    data: Path | None = None
    bounds: Mapping[str, float] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until the piece is ended."""
        return self.deadline - time.monotonic()

    def finish(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def tidy(self) -> None:
        """Give memory back, and forget what was compiled."""
        gc.collect()
        if "torch._dynamo.eval_frame" in sys.modules:   # the compiler takes seconds to import
            torch.compiler.reset()
        if self.device == "cuda":
            torch.cuda.empty_cache()


def speed(told: Told, arm: Arm, work: float, rounds: int) -> SeedStatistics:
    """Return how much work an arm does a second of wall time, after one slice in which libraries choose kernels.

    Args:
        told: The device, which is waited for at the end of each slice.
        arm: Does a slice.
        work: In a slice, such as images.
        rounds: Slices that are timed.
    """
    _seconds(told, arm)
    return spread(work / _seconds(told, arm) for _ in range(rounds))


def _seconds(told: Told, arm: Callable[[], object]) -> float:
    told.finish()
    begun = time.perf_counter()
    arm()
    told.finish()
    return time.perf_counter() - begun

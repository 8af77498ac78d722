"""Team: the devices that train one bundle at a time, this process on the first and followers on the others."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from ...core.bundle import Bundle
from ...core.dataset import Dataset
from ...core.reporting import End, Reporter
from ...runs.trial import Outcome, RungPlan
from ...trial import TrialResult, run_trial
from .ranks import RankProcesses
from .rung_training import RungTrainer, arrays, from_arrays, warm_up


def devices(gpus: float, index: int = 0) -> tuple[str, ...]:
    """Return the devices of the trial that is at an index among those that run at a time on this machine.

    Args:
        gpus: Of a trial: none, a share of one, or several.
        index: From 0; no GPU is given to more than its share.
    """
    if not gpus:
        return ("cpu",)
    count = max(1, round(gpus))
    sharing = int(1 / gpus + 1e-9) if gpus < 1 else 1
    first = index * count // sharing
    return tuple(f"cuda:{number}" for number in range(first, first + count))


class DeviceGroup:
    """Trains climbs, one after another.

    Args:
        shared: The data set, taken apart.
        devices: A rank on each; the first is this process's.
        threads: CPU threads of all ranks together.
        alive: As for a climb.
    """

    def __init__(self, shared: dict[str, Any], devices: Sequence[str], threads: int,
                 alive: Callable[[float], None] = lambda seconds: None):
        self._shared = shared
        self._devices = devices
        self._threads = max(1, threads // len(devices))
        self._own = _Climbing(devices[0], shared, self._threads, len(devices) > 1, alive)
        self._others: RankProcesses | None = None

    def reach(self, course: RungPlan, bundle: Bundle | None, rung: int) -> Outcome:
        """Begin to climb where there is a bundle, else go on, and train up to a rung.

        Raises:
            RankError: When a process of the team has ended; the next climb has new ones.
        """
        if len(self._devices) == 1:
            return self._own(course, bundle, rung)
        if self._others is None:
            self._others = RankProcesses(self._devices, _Climbing, self._shared, self._threads, True)
        self._others.tell(course, bundle, rung)
        try:
            with self._others.lockstep():
                outcome = self._own(course, bundle, rung)
        except BaseException as error:
            self._others = None
            if not isinstance(error, torch.OutOfMemoryError):
                raise
            return Outcome(rung, End.OUT_OF_MEMORY, {}, [], 0.0, 0.0)
        if outcome.end is End.OUT_OF_MEMORY:
            self.close()    # the others wait for the step that was too much for this process
        return outcome

    def close(self) -> None:
        """End the other processes."""
        if self._others:
            self._others.close()
            self._others = None


class _Climbing:
    """What one rank does."""

    def __init__(self, device: str, shared: dict[str, Any], threads: int, together: bool,
                 alive: Callable[[float], None] = lambda seconds: None):
        warm_up(threads)
        self._device = device
        self._together = together
        self._dataset = from_arrays(shared)
        self._alive = alive
        self._climb: RungTrainer | None = None

    def __call__(self, course: RungPlan, bundle: Bundle | None, rung: int) -> Outcome:
        """Train up to a rung."""
        if bundle is not None:
            own = replace(course, device=self._device, together=self._together)
            self._climb = RungTrainer(bundle, own, self._dataset, self._alive)
        assert self._climb is not None
        return self._climb.reach(rung)


def train_on(devices: Sequence[str], bundle: Bundle, dataset: Dataset, reporter: Reporter | None = None,
             trust: bool = False) -> TrialResult:
    """Train a bundle to the end on one device or on several.

    Args:
        devices: A rank on each; the first is this process's.
        bundle: What to train.
        dataset: Train and validation.
        reporter: As for a trial.
        trust: Whether a model of the form `my.module:function` may be imported.

    Raises:
        RankError: When a process that trained a part of every batch has ended.
    """
    if len(devices) == 1:
        return run_trial(bundle, dataset, reporter, devices[0], trust)
    threads = max(1, torch.get_num_threads() // len(devices))
    torch.set_num_threads(threads)
    with closing(RankProcesses(devices, _Training, arrays(dataset), threads, trust)) as others:
        others.tell(bundle)
        with others.lockstep():
            return run_trial(bundle, dataset, reporter, devices[0], trust, together=True)


class _Training:
    """What a rank beside the first does: the same, for nobody to hear."""

    def __init__(self, device: str, shared: dict[str, Any], threads: int, trust: bool):
        warm_up(threads)
        self._device = device
        self._dataset = from_arrays(shared)
        self._trust = trust

    def __call__(self, bundle: Bundle) -> None:
        """Train it to the end."""
        run_trial(bundle, self._dataset, None, self._device, self._trust, together=True)

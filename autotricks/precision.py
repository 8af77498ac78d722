"""`training.precision: auto`: what a device trains the model fastest in, found once before a search by a few steps."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from .core.bundle import Bundle
from .core.dataset import Dataset
from .core.report import Metrics
from .core.slots import Slot
from .space.load import LoadedSpace
from .space.runtime import uses
from .trainer import Trainer
from .trial import NHWC_FROM, prepare

SHORT = 0.03        # seconds of a step below which overhead rules and rounding off would be all there is to gain
ROUNDS = 3          # timed steps of each arm, in turn
WORTH = {"fp32": 1.0, "bf16": 1.1}      # how many times as fast as float32 a precision must be to be taken
ARMS = ("fp32 nchw", "fp32 nhwc", "bf16 nhwc")
Run = Callable[..., "Probed"]


@dataclass(frozen=True)
class Probed:
    """What a few steps said.

    Args:
        precision: `fp32` or `bf16`.
        layout: `nchw` or `nhwc`.
        seconds: Of the fastest step of each arm, by precision and layout, such as `bf16 nhwc`.
    """

    precision: str
    layout: str
    seconds: dict[str, float]

    @property
    def unusual(self) -> bool:
        """Whether steps are carried out otherwise than where nobody has measured."""
        return len(self.seconds) > 1 and f"{self.precision} {self.layout}" != next(iter(self.seconds))

    def __str__(self) -> str:
        arms = ", ".join(f"{name} {seconds * 1000:.0f}" for name, seconds in self.seconds.items())
        return f"training.precision: auto is {self.precision}, {self.layout} (ms a step: {arms})"


def here(function: Callable[..., Probed], *arguments: Any) -> Probed:
    """Call a function in this process."""
    return function(*arguments)


def usual(dataset: Dataset) -> str:
    """Return the layout that images of this size get where nobody has measured."""
    return "nhwc" if min(dataset.image_shape[1:]) >= NHWC_FROM else "nchw"


def with_precision(loaded: LoadedSpace, dataset: Dataset, trust: bool = False,
                   run: Run = here) -> tuple[LoadedSpace, Probed]:
    """Return the space with the precision and the layout that train its model fastest, for every trial alike.

    What the space lists among its tricks is left to the search.

    Args:
        loaded: The space.
        dataset: Train and validation.
        trust: Whether a model of the form `my.module:function` may be imported.
        run: Calls a function with its arguments where a trial would be trained.
    """
    needs, listed = loaded.document.resources, [entry.trick.seats.get(Slot.RUNTIME) for entry in loaded.space.entries]
    size = min(loaded.space.frame.batch_size, len(dataset.train))
    small = replace(dataset, train=dataset.train.sample(size), validation=dataset.validation.sample(1), test=None)
    found = run(probe, loaded.space.frame, small, "cuda" if needs.gpus else "cpu", max(1, int(needs.cpus)), trust)
    precision = "fp32" if "precision" in listed else found.precision
    layout = "auto" if "memory" in listed or found.layout == usual(dataset) else found.layout
    return loaded.with_runtime(precision, layout), replace(found, precision=precision)


def probe(frame: Bundle, dataset: Dataset, device: str, threads: int = 1, trust: bool = False) -> Probed:
    """Time steps of a bundle's model with plain SGD, in turn: float32 in both layouts, bfloat16 in NHWC.

    Args:
        frame: Model and batch size; its tricks are left out.
        dataset: Train, one batch of it, and validation, which is not looked at.
        device: Where to train.
        threads: Of a trial.
        trust: Whether a model of the form `my.module:function` may be imported.

    Raises:
        ModelError: When the model cannot be built or does not suit the data.

    Cost: five steps of each arm; two steps in all where a step is short.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        # on a CPU the time at work, whatever else the machine does
        clock = time.process_time if device == "cpu" else time.perf_counter
        return _probe(partial(_steps, frame, dataset, device, trust), usual(dataset), clock)
    finally:
        torch.set_num_threads(before)


def _probe(steps: Callable[[str, str], Iterator[Metrics]], layout: str, clock: Callable[[], float]) -> Probed:
    plain = f"fp32 {layout}"
    arms = {plain: steps("fp32", layout)}
    _timed(arms[plain], clock)     # kernels are chosen and compiled
    first = _timed(arms[plain], clock)
    if first < SHORT:
        return Probed("fp32", layout, {plain: first})
    for name in ARMS:
        if name not in arms:
            arms[name] = steps(*name.split())
            _timed(arms[name], clock)
    rounds = [[_timed(arm, clock) for arm in arms.values()] for _ in range(ROUNDS)]
    seconds = {name: min(times) for name, times in zip(arms, zip(*rounds), strict=True)}
    best = min(value for name, value in seconds.items() if name.startswith("fp32"))
    worth = {name: value for name, value in seconds.items() if value * WORTH[name.split()[0]] <= best}
    chosen = min(worth, key=lambda name: worth[name]).split()
    return Probed(chosen[0], chosen[1], seconds)


class _Unwatched(Trainer):
    """Train without looking at the validation split."""

    def evaluate(self) -> dict[str, float]:
        """Return no figures."""
        return {}


def _steps(frame: Bundle, dataset: Dataset, device: str, trust: bool, precision: str,
           layout: str) -> Iterator[Metrics]:
    """Return what trains one step each time it is asked."""
    bundle = replace(frame, uses=uses(precision, layout), epochs=2 + ROUNDS)
    return prepare(bundle, dataset, device, trust, _Unwatched).epochs()


def _timed(steps: Iterator[Metrics], clock: Callable[[], float]) -> float:
    """Return the seconds of one step; infinitely many where training broke down."""
    started = clock()
    return clock() - started if next(steps, None) else math.inf

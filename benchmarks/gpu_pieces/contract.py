"""Every trick of the catalog, in every task and precision, held on the device to what it promises.

Of the contract in `autotricks.testing` what a device can break: a step waits for nothing (a GPU itself says), two
epochs train and are evaluated with finite figures and weights that move, and one epoch and another from its checkpoint
are two without a break, bit for bit, with torch's deterministic algorithms. Several processes share the work.
"""
from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import wait

import torch
from machine import Row, Target, spread

from autotricks.core.bundle import Use
from autotricks.core.dataset import Dataset
from autotricks.core.plan import unsuited
from autotricks.core.slots import Slot
from autotricks.testing import Contract, failures, striped, striped_scenes, striped_sets
from autotricks.tricks.catalog import catalog

from .told import Told
from .worker import Lost, Worker

WAITS = "never_waits_for_the_device"
REPEATS = ("trains_finite_and_changes_the_weights", "is_the_same_from_the_same_seed_and_from_a_checkpoint")
PRECISIONS = ("fp32", "bf16", "fp16")
TASKS = ("classification", "detection", "multilabel")
LAST = ("torch_compile",)       # takes as long as all the others of a kind
PATIENCE = 90.0                 # seconds for one trick
SPARED = 2.0                    # seconds in which what was found is counted
PROCESSES = 8
FEW = {"classification": "mixup", "detection": "mosaic", "multilabel": "ema"}       # for a first look
BROKEN = ("CUDA error", "CUDA driver error")    # after which a process can do nothing more on its GPU


@dataclass(frozen=True)
class Case:
    """A trick in a task and a precision."""

    trick: str
    task: str
    precision: str

    def __str__(self) -> str:
        return f"{self.trick}, {self.task}, {self.precision}"


@cache
def images(task: str) -> Dataset:
    """Return small images in color, of the size from which they are laid out as NHWC."""
    makes = {"classification": striped, "multilabel": striped_sets, "detection": striped_scenes}
    return makes[task](size=32, channels=3)


def cases(quick: bool) -> list[Case]:
    """Return all cases, what is most likely broken first: every trick in float32, then in other precisions."""
    kinds = [(task, precision) for precision in PRECISIONS for task in TASKS]
    if quick:
        return [Case(FEW[task], task, precision) for task, precision in kinds if precision != "fp16"]
    names = sorted(catalog(), key=LAST.__contains__)
    return [Case(name, task, precision) for task, precision in kinds for name in names
            if _makes_sense(name, task, precision)]


def _makes_sense(name: str, task: str, precision: str) -> bool:
    """Return whether a trick takes such data, and leaves the precision to others."""
    trick = catalog()[name]
    chosen = trick.seats.get(Slot.RUNTIME) == "precision" and precision != "fp32"
    return not chosen and not unsuited(trick, images(task).traits)


def broken(case: Case, device: str) -> list[str]:
    """Return what a trick does not keep, point by point, with the end of each traceback."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"   # read once; without it cuBLAS does not repeat
    model = "fcos:resnet8" if case.task == "detection" else "resnet8"
    beside = [Use(catalog()[case.precision]())] if case.precision != "fp32" else []
    beside += [Use(catalog()["sgd"](lr=0.01))] if case.task == "detection" else []
    contract = Contract(catalog()[case.trick], images(case.task), model=model, beside=beside, device=device)
    found = _kept(contract, (WAITS,))
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        return found + _kept(contract, REPEATS)
    finally:
        torch.use_deterministic_algorithms(False)


def _kept(contract: Contract, points: Sequence[str]) -> list[str]:
    found = []
    for point, error in failures(contract, points):
        broken = isinstance(error, AssertionError)
        found.append(f"{point}: {error if broken else ''.join(traceback.format_exception(error, limit=-4))}")
    return found


def judged(todo: deque[Case], told: Told, count: int) -> Iterator[tuple[Case, list[str]]]:
    """Yield each case with what it does not keep, as it comes; processes that are lost are replaced.

    Args:
        todo: Cases, first those that are to be judged first; what is left at the end was not reached.
        told: The device and the time.
        count: Processes.
    """
    busy, idle = dict[Worker, tuple[Case, float]](), list[Worker]()
    while (todo or busy) and told.left > SPARED:
        while todo and len(busy) < count:
            worker = idle.pop() if idle else Worker()
            busy[worker] = (todo.popleft(), time.monotonic())
            worker.begin(broken, busy[worker][0], told.device)
        wait([worker.line for worker in busy], 0.2)
        for worker, (case, begun) in [*busy.items()]:
            patient = time.monotonic() - begun < PATIENCE
            if patient and not worker.line.poll():
                continue
            del busy[worker]
            try:
                lines = worker.answer(0)
                usable = not any(sign in line for line in lines for sign in BROKEN)
            except Lost as lost:
                lines, usable = [str(lost) if patient else f"no answer in {PATIENCE:.0f} s"], False
            if usable:
                idle.append(worker)
            else:
                worker.end()
            yield case, lines
    todo.extendleft(case for case, _ in busy.values())
    for worker in (*busy, *idle):
        worker.end()


def measure(told: Told) -> Iterator[Row]:
    """Yield a row for each case that is not kept, and then how many there are of each kind."""
    every = cases(told.quick)
    seen = dict[Case, list[str]]()
    for case, lines in judged(deque(every), told, 1 if told.quick else PROCESSES):
        seen[case] = lines
        if lines:
            yield Row(str(case), "not kept", spread([float(len(lines))]), "points",
                      note="; ".join(_first(line) for line in lines), details={"traceback": "\n".join(lines)})
    for task in TASKS:
        for precision in PRECISIONS:
            yield from _count(f"{task}, {precision}",
                              [case for case in every if (case.task, case.precision) == (task, precision)], seen)


def _count(kind: str, asked: Sequence[Case], seen: dict[Case, list[str]]) -> Iterator[Row]:
    """Yield how many tricks of a kind break a point, and which were not reached."""
    tried = [case for case in asked if case in seen]
    missed = [case.trick for case in asked if case not in seen]
    if not asked:
        return
    failing = [case.trick for case in tried if seen[case]]
    said = f"{len(tried)} of {len(asked)} tricks" + (f"; not reached: {', '.join(missed)}" if missed else "")
    yield Row(kind, "tricks that break the contract", spread([float(len(failing))]) if tried else None, "tricks",
              Target(most=0), said, {"broken": failing, "not_reached": missed})


def _first(line: str) -> str:
    """Return the last line of a traceback, or the whole of a shorter text."""
    return f"{line.partition(':')[0]}: {line.strip().splitlines()[-1]}"[:200]

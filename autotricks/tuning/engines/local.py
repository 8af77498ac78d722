"""The local engine: the same search on warm worker processes of this machine, without Ray."""
from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from ...core.bundle import Bundle
from ...core.dataset import Dataset
from ...core.reporting import End
from ...errors import RankError
from ...runs.trial import Outcome, RungPlan, Trial
from ...system.workers import died, follow_parent
from ..search import Search
from .device_team import DeviceGroup, devices
from .rung_training import arrays, watch
from .worker_context import worker_context

RETRIES = 2


@dataclass
class Worker:
    """A process, the pipe to it, what it is doing, and its place, which says what GPUs are its own."""

    process: Any
    pipe: Connection
    trial: Trial | None = None
    rung: int = 0
    attempt: int = 1
    place: int = 0


def run(search: Search, dataset: Dataset, workers: int, trust: bool = False) -> int:
    """Run a search to its end on `workers` processes; each trains one trial at a time. Return `workers`.

    A worker that dies is replaced and its trial goes on from the rung it had reached, at most twice.
    """
    wanted = search.resources
    hire = partial(_hire, arrays(dataset), search.course(trust), max(1, int(wanted.cpus)), wanted.gpus)
    crew = [hire(place) for place in range(workers)]
    try:
        for worker in crew:
            _next(search, worker)
        while any(worker.trial for worker in crew):
            busy = [worker for worker in crew if worker.trial]
            for pipe in wait([worker.pipe for worker in busy]):
                worker = next(worker for worker in busy if worker.pipe is pipe)
                try:
                    answer = worker.pipe.recv()
                except (EOFError, OSError):
                    answer = RankError("")
                if isinstance(answer, RankError):
                    crew[crew.index(worker)] = _replace(search, worker, hire, str(answer))
                else:
                    _hear(search, worker, answer)
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
    return workers


def _hire(shared: dict[str, Any], course: RungPlan, threads: int, gpus: float = 0, place: int = 0) -> Worker:
    context: Any = worker_context(threads)
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, shared, course, devices(gpus, place), threads))
    process.start()
    there.close()
    return Worker(process, here, place=place)


def _next(search: Search, worker: Worker) -> None:
    """Give a worker the next trial, or nothing."""
    worker.trial = search.propose()
    if worker.trial:
        worker.rung, worker.attempt = worker.trial.first, 1
        if worker.rung == len(search.budgets):
            search.finish(worker.trial, End.FINISHED)
            _next(search, worker)
        else:
            _send(worker, worker.trial.bundle)


def _send(worker: Worker, bundle: Bundle | None) -> None:
    """Send a worker to its next rung; one that died meanwhile is noticed when its answer is waited for."""
    with suppress(BrokenPipeError, ConnectionResetError):
        worker.pipe.send((bundle, worker.rung))


def _hear(search: Search, worker: Worker, answer: Outcome | str) -> None:
    """Take in what a worker's trial reached and say how it goes on."""
    trial = worker.trial
    assert trial is not None
    if isinstance(answer, str):
        search.finish(trial, End.FAILED, answer)
        _next(search, worker)
        return
    score = search.report(trial, answer, worker.attempt)
    end = search.verdict(trial, answer, score)
    if end is None:
        worker.rung = answer.rung + 1
        _send(worker, None)
        return
    if search.is_new_best(trial, answer):
        search.set_best(trial, answer, answer.weights)
    search.finish(trial, end)
    _next(search, worker)


def _replace(search: Search, worker: Worker, hire: Callable[[int], Worker], said: str) -> Worker:
    """Return a new worker that takes up the trial of a dead one, or ends the trial when that happens too often."""
    worker.process.join()
    worker.pipe.close()
    fresh = hire(worker.place)
    trial = worker.trial
    assert trial is not None
    if worker.attempt > RETRIES:
        detail = f"its process died {worker.attempt} times, {said or died(worker.process.exitcode)}"
        search.finish(trial, End.FAILED, detail)
        _next(search, fresh)
        return fresh
    fresh.trial, fresh.attempt = trial, worker.attempt + 1
    fresh.rung = worker.rung
    _send(fresh, trial.bundle)
    return fresh


def _work(pipe: Connection, shared: dict[str, Any], course: RungPlan, where: tuple[str, ...], threads: int) -> None:
    """Train what arrives on the pipe until it closes: a bundle begins a climb, None goes on with the one at hand."""
    follow_parent()
    team = DeviceGroup(shared, where, threads, watch)
    while True:
        try:
            bundle, rung = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(team.reach(course, bundle, rung))
        except RankError as error:
            pipe.send(error)
            return      # a fresh process trains this trial again
        except Exception:
            pipe.send(traceback.format_exc(limit=-4))

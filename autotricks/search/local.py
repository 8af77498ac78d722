"""The local engine: the same search on warm worker processes of this machine, without Ray."""
from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.report import End
from ..processes import died, follow_parent, prepare
from .climb import Climb, Course, Outcome, arrays, from_arrays, warm_up, watch
from .search import Search, Trial

RETRIES = 2


@dataclass
class Worker:
    """A process, the pipe to it, and what it is doing."""

    process: Any
    pipe: Connection
    trial: Trial | None = None
    rung: int = 0
    attempt: int = 1


def run(search: Search, dataset: Dataset, workers: int, trust: bool = False) -> int:
    """Run a search to its end on `workers` processes; each trains one trial at a time. Return `workers`.

    A worker that dies is replaced and its trial goes on from the rung it had reached, at most twice.
    """
    shared, course = arrays(dataset), search.course(trust)
    rule, threads = search.halving(), max(1, int(search.resources.cpus))
    crew = [_hire(shared, course, threads) for _ in range(workers)]
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
                    crew[crew.index(worker)] = _replace(search, worker, shared, course, threads)
                    continue
                _hear(search, worker, rule, answer)
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
    return workers


def _hire(shared: dict[str, Any], course: Course, threads: int) -> Worker:
    context = prepare(threads)
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, shared, course, threads))  # type: ignore[attr-defined]
    process.start()
    there.close()
    return Worker(process, here)


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


def _hear(search: Search, worker: Worker, rule: Any, answer: Outcome | str) -> None:
    """Take in what a worker's trial reached and say how it goes on."""
    trial = worker.trial
    assert trial is not None
    if isinstance(answer, str):
        search.finish(trial, End.FAILED, answer)
        _next(search, worker)
        return
    score = search.report(trial, answer, worker.attempt)
    kept = score is not None and rule.keeps(answer.rung, search.gain(score))
    end = search.verdict(trial, answer, kept)
    if end is None:
        worker.rung = answer.rung + 1
        _send(worker, None)
        return
    if search.crowns(trial, answer):
        search.crown(trial, answer, answer.weights)
    search.finish(trial, end)
    _next(search, worker)


def _replace(search: Search, worker: Worker, shared: dict[str, Any], course: Course, threads: int) -> Worker:
    """Return a new worker that takes up the trial of a dead one, or ends the trial when that happens too often."""
    worker.process.join()
    worker.pipe.close()
    fresh = _hire(shared, course, threads)
    trial = worker.trial
    assert trial is not None
    if worker.attempt > RETRIES:
        detail = f"its process died {worker.attempt} times, {died(worker.process.exitcode)}"
        search.finish(trial, End.FAILED, detail)
        _next(search, fresh)
        return fresh
    fresh.trial, fresh.attempt = trial, worker.attempt + 1
    fresh.rung = worker.rung
    _send(fresh, trial.bundle)
    return fresh


def _work(pipe: Connection, shared: dict[str, Any], course: Course, threads: int) -> None:
    """Train what arrives on the pipe until it closes: a bundle begins a climb, None goes on with the one at hand."""
    follow_parent()
    warm_up(threads)
    dataset = from_arrays(shared)
    climb: Climb | None = None
    while True:
        try:
            bundle, rung = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            climb = _climb(bundle, course, dataset, climb)
            pipe.send(climb.reach(rung))
        except Exception:
            pipe.send(traceback.format_exc(limit=-4))


def _climb(bundle: Bundle | None, course: Course, dataset: Dataset, climb: Climb | None) -> Climb:
    if bundle is None:
        assert climb is not None
        return climb
    return course.climb(bundle, dataset, watch)

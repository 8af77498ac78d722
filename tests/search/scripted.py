"""The local engine with workers that answer by a script: no process, no training, every order of events at will."""
from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset
from autotricks.core.reporting import End
from autotricks.runs.ledger import Ledger, TrialRecord, read, records
from autotricks.runs.trial import Champion, Outcome, RungPlan
from autotricks.space.load import LoadedSpace
from autotricks.tuning.engines.engine import TrainingOptions
from autotricks.tuning.engines.local import LocalEngine, StartWorker, Worker
from autotricks.tuning.engines.rung_training import RungTrainer, from_arrays
from autotricks.tuning.search import Search

DIE, DIE_AFTER = "the process is killed before it answers", "the process is killed after it answered"
METRIC = "val/balanced_accuracy"
Answer = Callable[[int, int], Outcome | str | tuple[Outcome, str]]    # number of the trial, rung -> what is sent


def outcome(rung: int, score: float, end: End | None = None, last: int = 2) -> Outcome:
    """Return what a worker sends; the last rung finishes unless it ends otherwise."""
    end = end or (End.FINISHED if rung == last else None)
    metrics = {METRIC: score, "train/loss": 1.0}
    return Outcome(rung, end, metrics, [{"epoch": 1, **metrics}], 3.0 ** rung, 0.0,
                   f"weights of {score}".encode() if end is End.FINISHED else None)


def merit(number: int, rung: int) -> float:
    """Return a score that depends on trial and rung alone; every trial gets better."""
    return number * 37 % 101 / 200 + rung / 10


def by_merit(number: int, rung: int) -> Outcome:
    """Answer with the merit; every third trial diverges at its second rung."""
    if rung == 1 and number % 3 == 2:
        return outcome(rung, float("nan"), End.DIVERGED)
    return outcome(rung, merit(number, rung))


def starting(answer: Callable[[RungPlan, Bundle, int], Outcome | str | tuple[Outcome, str]]) -> StartWorker:
    """Return what starts a worker that is a thread, which answers for a bundle at a rung."""
    def start(shared: object, options: TrainingOptions, index: int) -> Worker:
        here, there = multiprocessing.Pipe()
        threading.Thread(target=_serve, args=(there, answer), daemon=True).start()
        return Worker(SimpleNamespace(kill=lambda: None, join=lambda: None, exitcode=-9), here, index=index)

    return start


def engine(answer: Callable[[Bundle, int], Outcome | str | tuple[Outcome, str]]) -> LocalEngine:
    """Return the local engine with workers that answer by a script."""
    return LocalEngine(TrainingOptions(), starting(lambda plan, bundle, rung: answer(bundle, rung)))


def in_threads() -> LocalEngine:
    """Return the local engine with workers that train in threads of this process: real figures, no process to start."""
    def start(shared: dict[str, object], options: TrainingOptions, index: int) -> Worker:
        dataset, climbs = from_arrays(shared), list[RungTrainer]()

        def answer(plan: RungPlan, bundle: Bundle, rung: int) -> Outcome:
            if not climbs or climbs[-1].bundle is not bundle:
                climbs.append(RungTrainer(bundle, plan, dataset))
            return climbs[-1].reach(rung)
        return starting(answer)(shared, options, index)
    return LocalEngine(TrainingOptions(), start)


def _serve(pipe, answer) -> None:
    current = None
    while True:
        try:
            plan, bundle, rung = pipe.recv()
        except (EOFError, OSError):
            return
        current = bundle or current
        reply = answer(plan, current, rung)
        if isinstance(reply, str) and reply == DIE:
            break
        try:
            pipe.send(reply[0] if isinstance(reply, tuple) else reply)
        except BrokenPipeError:     # an interrupted search hears nobody any more
            return
        if isinstance(reply, tuple):
            break
    pipe.close()


class Told:
    """A listener that keeps what it hears, with how many lines the ledger had waited to have on disk by then."""

    def __init__(self, path: Path):
        self._path = path
        self.synced = [0]       # lines on disk after each wait for it
        self.heard: list[tuple[str, int, int]] = []
        self.numbers: dict[str, int] = {}       # of trials, by the hash of their bundle

    def started(self, trial):
        self.numbers[trial.bundle.hash] = trial.number
        self._hear("trial", trial)

    def reached(self, trial, outcome, budget, score):
        self._hear("rung", trial)

    def ended(self, trial, end, score):
        self._hear("end", trial)

    def _hear(self, kind, trial):
        self.heard.append((kind, trial.number, self.synced[-1]))

    def sync(self, descriptor: int) -> None:
        """Stand in for `os.fsync`: nothing is lost here but time."""
        self.synced.append(self._path.read_bytes().count(b"\n"))


def search(loaded: LoadedSpace, path: Path, dataset: Dataset, monkeypatch, answer: Answer = by_merit,
           workers: int = 1, crowned: list[Champion] | None = None) -> Search:
    """Search, or go on with a search, by a script; return what it came to."""
    told = Told(path)
    monkeypatch.setattr(os, "fsync", told.sync)
    ledger = Ledger(path)
    found = Search(loaded, ledger, [told], keep=(crowned if crowned is not None else []).append)
    found.told = told
    try:
        engine(lambda bundle, rung: answer(told.numbers[bundle.hash], rung)).run(found, dataset, path.parent, workers)
    finally:
        ledger.close()
    return found


def trials(path: Path) -> list[TrialRecord]:
    return records(read(path)[0])


def story(path: Path) -> list[tuple]:
    """Return number, hash, end and scores of every trial."""
    return [(trial.number, trial.hash, trial.end, tuple((line["rung"], line["metrics"][METRIC])
                                                        for line in trial.rungs)) for trial in trials(path)]

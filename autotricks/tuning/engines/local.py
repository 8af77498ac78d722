"""The local engine: the same search on warm worker processes of this machine, without Ray."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ...core.bundle import Bundle
from ...core.dataset import Dataset
from ...core.reporting import End
from ...errors import EngineError, RankError
from ...runs.trial import Outcome, RungPlan, Training, Trial
from ...system.workers import died
from ..search import Search
from .device_team import devices
from .engine import RETRIES, TrainingOptions
from .rung_training import arrays
from .worker_context import worker_context
from .worker_loop import work

Result = TypeVar("Result")
Answer = Outcome | RankError | str      # what was reached; a process beside has died; what was raised, as a traceback


@dataclass
class Worker:
    """A process, the pipe to it, what it is doing, and its index, which says what GPUs are its own."""

    process: Any
    pipe: Connection
    trial: Trial | None = None
    rung: int = 0
    attempt: int = 1
    index: int = 0

    def send(self, plan: RungPlan, bundle: Bundle | None) -> None:
        """Begin with a bundle, or go on, up to the worker's rung; one that has died is noticed at its answer."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send((plan, bundle, self.rung))

    def begin(self, plan: RungPlan) -> None:
        """Begin with the worker's trial, if it has one."""
        if self.trial is not None:
            self.send(plan, self.trial.bundle)

    def answer(self) -> Answer:
        """Return what the worker says; where it has died, so."""
        try:
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return RankError(died(self.process.exitcode))
        return answer

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class StartWorker(Protocol):
    """Starts a worker."""

    def __call__(self, shared: dict[str, Any], options: TrainingOptions, index: int) -> Worker:
        """Return a worker that trains on data taken apart by `arrays`, at an index among those that work at a time."""


def start_worker(shared: dict[str, Any], options: TrainingOptions, index: int) -> Worker:
    """Start a process that answers on its pipe until that closes."""
    context: Any = worker_context(options.threads)
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, shared, devices(options.gpus, index), options.threads))
    process.start()
    there.close()
    return Worker(process, here, index=index)


class LocalEngine:
    """Trains on processes of this machine, one bundle each at a time; see `autotricks.tuning.engines.engine.Engine`.

    A worker that dies is replaced and its trial goes on from the rung it had reached, at most twice.

    Args:
        options: With what.
        start: Starts a worker.
    """

    def __init__(self, options: TrainingOptions, start: StartWorker = start_worker):
        self._options = options
        self._start = start

    def run(self, search: Search, dataset: Dataset, folder: Path, slots: int) -> int:
        """Run a search to its end on `slots` processes."""
        plan = search.course(self._options.trust)
        with _Crew(self._start, arrays(dataset), self._options, slots) as crew:
            for worker in crew.workers:
                _next(search, worker)
                worker.begin(plan)
            for worker, answer in crew.answers():
                with search.together():
                    goes_on = _hear(search, worker, answer)
                if isinstance(answer, RankError):
                    crew.revive(worker)
                if goes_on:
                    worker.send(plan, None)
                else:
                    worker.begin(plan)
        return slots

    def retrain(self, trainings: Sequence[Training], dataset: Dataset,
                slots: int) -> Iterator[tuple[Training, Outcome]]:
        """Yield each training with what it reached, as it is done."""
        left = deque(enumerate(trainings))
        with _Crew(self._start, arrays(dataset), self._options, min(slots, len(left))) as crew:
            for worker in crew.workers:
                self._begin(worker, *left.popleft())
            for worker, answer in crew.answers():
                trial = worker.trial
                assert trial is not None
                if isinstance(answer, str):
                    raise EngineError(f"training {trial.bundle}: {answer.strip().splitlines()[-1]}")
                if isinstance(answer, RankError):
                    if worker.attempt > RETRIES:
                        raise EngineError(f"training {trial.bundle}: its process died {worker.attempt} times, "
                                          f"{answer}. An epoch may take search.patience, {self._options.patience:g} s.")
                    crew.revive(worker)
                    self._begin(worker, trial.number, trainings[trial.number], worker.attempt + 1)
                    continue
                worker.trial = None
                if left:
                    self._begin(worker, *left.popleft())
                yield trainings[trial.number], answer

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function here."""
        return function(*arguments)

    def _begin(self, worker: Worker, number: int, training: Training, attempt: int = 1) -> None:
        worker.trial = Trial(number, "", training.bundle)
        worker.rung = 0
        worker.attempt = attempt
        worker.send(self._options.whole(training), training.bundle)


class _Crew:
    """The workers of one run of the engine; they end with it."""

    def __init__(self, start: StartWorker, shared: dict[str, Any], options: TrainingOptions, size: int):
        self._start = start
        self._shared = shared
        self._options = options
        self._size = size
        self.workers: list[Worker] = []

    def __enter__(self) -> _Crew:
        for index in range(self._size):
            self.workers.append(self._start(self._shared, self._options, index))
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            worker.stop()

    def answers(self) -> Iterator[tuple[Worker, Answer]]:
        """Yield what workers answer, as they do, until none has a trial."""
        while busy := [worker for worker in self.workers if worker.trial]:
            ready = wait([worker.pipe for worker in busy])
            for worker in busy:
                if worker.pipe in ready:
                    yield worker, worker.answer()

    def revive(self, worker: Worker) -> None:
        """Start another process in the place of a worker's that died."""
        worker.pipe.close()
        fresh = self._start(self._shared, self._options, worker.index)
        worker.process = fresh.process
        worker.pipe = fresh.pipe


def _next(search: Search, worker: Worker) -> None:
    """Give a worker the next trial, or nothing."""
    worker.trial = search.propose()
    if worker.trial is None:
        return
    worker.rung = worker.trial.first
    worker.attempt = 1
    if worker.rung == len(search.budgets):
        search.finish(worker.trial, End.FINISHED)
        _next(search, worker)


def _hear(search: Search, worker: Worker, answer: Answer) -> bool:
    """Take in what a worker answers and give it what comes next; return whether it goes on with the trial at hand."""
    trial = worker.trial
    assert trial is not None
    if isinstance(answer, RankError) and worker.attempt <= RETRIES:
        worker.attempt += 1     # a fresh process begins where this one was
        return False
    if isinstance(answer, Outcome):
        score = search.report(trial, answer, worker.attempt)
        end = search.verdict(trial, answer, score)
        if end is None:
            worker.rung = answer.rung + 1
            return True
        if search.is_new_best(trial, answer):
            search.set_best(trial, answer, answer.weights)
        search.finish(trial, end)
    elif isinstance(answer, RankError):
        search.finish(trial, End.FAILED, f"its process died {worker.attempt} times, {answer}")
    else:
        search.finish(trial, End.FAILED, answer)
    _next(search, worker)
    return False

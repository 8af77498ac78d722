"""What a search's driver does for each trial after 100, 1,000 and 10,000 trials of `long_tail.yaml`.

The trials are made up: figures around a real training's, drawn anew for each epoch. Chooser, ledger, halving rule,
MLflow's writer on SQLite, report and Ray Tune are real. Five parts:

    python benchmarks/scale.py drive FOLDER     a search from its first trial on, tracked; goes on where it was stopped
    python benchmarks/scale.py report FOLDER    the report of that search
    python benchmarks/scale.py resume FOLDER    what a driver does before the first trial of another sitting
    python benchmarks/scale.py decide           a decision of each sampler, its memory filled by a resume
    python benchmarks/scale.py engine           Ray Tune and the local engine with trials that train nothing

Milliseconds are of processor time where nothing else is said, so that a busy machine does not show.
"""
from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

SIZES, WINDOW, METRIC, DECISIONS = (100, 1_000, 10_000), 50, "val/balanced_accuracy", 15
COSTS, BATCH = "costs.jsonl", 10    # trials between two looks at MLflow's writer
SPACE, RUNGS = "long_tail.yaml", (6, 17, 50)


@dataclass
class Costs:
    """Milliseconds of one trial, by what they were spent on."""

    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def around(self, owner: Any, name: str, what: str) -> None:
        """Charge every call of a method of one object."""
        method = getattr(owner, name)

        def charged(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return method(*arguments, **named)
            finally:
                self.spent[what] += 1000 * (time.thread_time() - began)
        setattr(owner, name, charged)


def outcome_of(rung: int, budgets: tuple[int, ...], real: Mapping[str, float], chance: random.Random) -> Any:
    """Return an outcome that nobody trained: the names of a real one's figures, a row for each epoch."""
    from autotricks.core.reporting import End
    from autotricks.runs.trial import Outcome

    curve = [{"epoch": epoch, **{name: value * chance.uniform(0.9, 1.1) for name, value in real.items()}}
             for epoch in range(1, budgets[rung] + 1)]
    last = rung + 1 == len(budgets)
    figures = {name: value for name, value in curve[-1].items() if name != "epoch"}
    end, weights = (End.FINISHED, b"") if last else (None, None)
    return Outcome(rung, end, figures, curve, float(budgets[rung]), 1.0, weights)


def drive(folder: Path, count: int, seconds: float, sampler: str, tracked: bool) -> None:
    """Carry a search on to `count` trials, or for so many seconds, and note what each trial cost."""
    from autotricks.data import load as load_data
    from autotricks.runs.ledger import records
    from autotricks.space.load import load_space
    from autotricks.trial import run_trial
    from autotricks.tuning.search import Search
    from autotricks.tuning.tracking_listener import TrackingListener
    from autotricks.workflows.reopen import settle
    from autotricks.workflows.sync import tracker as make_tracker

    began, run = time.monotonic(), folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    loaded = load_space(SPACE, [f"search.trials={count}", "search.trainings=null", f"search.sampler={sampler}",
                                "training.precision=fp32"])
    data = load_data(loaded.document.data.settings())
    real = run_trial(replace(loaded.start["baseline"], epochs=2), data.dataset).metrics
    costs, chance = Costs(), random.Random(time.time_ns())
    ledger, tracker = settle(run, loaded, data), make_tracker(None if tracked else "off", folder)
    relay = TrackingListener(tracker, loaded, data.facts, run.name, records(ledger.lines))
    costs.around(ledger, "write", "ledger")
    costs.around(ledger, "sync", "ledger")
    search = Search(loaded, ledger, [relay], keep=lambda champion: None)
    recall = time.monotonic() - began
    costs.around(search, "verdict", "rule")
    print(f"{len(search.records())} trials recalled {recall:.1f} s after the start", flush=True)
    writer, batch, kept = Writer(tracker) if tracked else None, [], (folder / COSTS).open("a")
    while time.monotonic() - began < seconds:
        costs.spent.clear()
        before = time.thread_time()
        trial = search.propose()
        if trial is None:
            break
        costs.spent["decision"] = 1000 * (time.thread_time() - before) - costs.spent["ledger"]
        climb(search, trial, real, chance)
        costs.spent["all of the driver's thread"] = 1000 * (time.thread_time() - before)
        batch.append({"trial": trial.number, **costs.spent})
        if len(batch) == BATCH:
            extra = writer.since() if writer else {}
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            kept.writelines(json.dumps({**line, **extra, "MiB": memory}) + "\n" for line in batch)
            kept.flush()
            batch.clear()
    ledger.close()
    print(tracker.close(60) or f"{len(search.records())} trials, largest memory "
          f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    table(folder)


def climb(search: Any, trial: Any, real: Mapping[str, float], chance: random.Random) -> None:
    """Take a trial up the rungs as the local engine does."""
    for rung in range(trial.first, len(search.budgets)):
        outcome = outcome_of(rung, search.budgets, real, chance)
        score = search.report(trial, outcome)
        end = search.verdict(trial, outcome, score)
        if end is not None:
            if search.is_new_best(trial, outcome):
                search.set_best(trial, outcome, outcome.weights)
            search.finish(trial, end)
            return


class Writer:
    """Says what MLflow's writer has done for a trial since it was asked last, once it has nothing left to do."""

    def __init__(self, tracker: Any):
        self._tracker, self._last = tracker, (0.0, 0.0)
        self.since()

    def since(self) -> dict[str, float]:
        """Return milliseconds a trial, of its processor time and of waiting for it."""
        marks: list[tuple[float, float]] = []
        first = time.perf_counter()
        self._tracker._queue.put(lambda: marks.append((time.perf_counter(), time.thread_time())))
        while not marks:
            time.sleep(0.001)
        wall, worked = marks[0][0] - first, marks[0][1] - self._last[1]
        self._last = marks[0]
        return {"MLflow": 1000 * worked / BATCH, "MLflow, time left to wait": 1000 * wall / BATCH}


def table(folder: Path) -> None:
    """Print the mean cost of a trial in the windows that end at each size."""
    lines = {line["trial"]: line for line in map(json.loads, (folder / COSTS).read_text().splitlines())}
    windows = {size: [lines[number] for number in range(size - WINDOW, size) if number in lines] for size in SIZES}
    names = list(dict.fromkeys(name for line in lines.values() for name in line if name != "trial"))
    print(f"{'milliseconds a trial':<34}", *(f"{size:>9,}" for size, window in windows.items() if window))
    for name in names:
        print(f"{name:<34}", *(f"{statistics.fmean(line.get(name, 0.0) for line in window):>9.2f}"
                               for window in windows.values() if window))


def report(folder: Path) -> None:
    """Write the report of what was driven, as the command does."""
    from autotricks import report as reports

    run = folder / "run"
    reports.write(run)
    print(f"report.html: {(run / 'report.html').stat().st_size / 2**20:.1f} MiB; {spent()}")


def resume(folder: Path, sampler: str) -> None:
    """Take up what was driven, untracked, as a driver does before the first trial of another sitting."""
    from autotricks.runs import folder as folders
    from autotricks.runs.ledger import Ledger
    from autotricks.space.load import load_space
    from autotricks.tuning.search import Search

    loaded = load_space(folder / "run" / folders.SPACE, [f"search.sampler={sampler}"])
    ledger = Ledger(folder / "run" / folders.LEDGER)
    print(f"{len(ledger.lines):,} lines read; {spent()}")
    search = Search(loaded, ledger)
    print(f"recalled; {spent()}")
    search.records()
    ledger.close()


def spent() -> str:
    """Return what this process has cost so far, its imports included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return f"processor {used.ru_utime + used.ru_stime:.1f} s, largest memory {used.ru_maxrss / 2**10:.0f} MiB"


def made_up(count: int) -> list[Any]:
    """Return the records of trials that nobody trained: picks at random, three of ten trained to the end."""
    from autotricks.runs.ledger import TrialRecord
    from autotricks.space.load import load_space
    from autotricks.tuning.optuna_sampler import OptunaSampler

    chance, found = random.Random(0), []
    drawn = OptunaSampler(load_space(SPACE).space, "random", 0, True, count)
    for number in range(count):
        proposal = drawn.propose(number, number)
        assert proposal is not None
        bundle, picks = proposal.bundle, proposal.picks
        budgets = RUNGS if chance.random() < 0.3 else RUNGS[:1]
        rungs = [{"budget": budget, "metrics": {METRIC: chance.random()}} for budget in budgets]
        found.append(TrialRecord(number, "", bundle.document(), picks, bundle.hash, rungs,
                                 "finished" if budgets == RUNGS else "stopped"))
        drawn.tell(number, None, False)
    return found


def decide(count: int, bounded: bool) -> None:
    """Print what a decision costs, told of trials as on a resume; sizes in turn, on a machine that may be busy."""
    from autotricks.space.load import load_space
    from autotricks.tuning.optuna_sampler import OptunaSampler
    from autotricks.tuning.samplers import sampler_of

    trials = made_up(count)
    for sampler in ("random", "tpe", "bayesian"):
        loaded = load_space(SPACE, [f"search.sampler={sampler}"])
        choosers: dict[int, Any] = {}
        for size in SIZES:
            if size <= count and sampler == "bayesian":
                choosers[size] = sampler_of(loaded)
            elif size <= count:
                choosers[size] = OptunaSampler(loaded.space, sampler, 0, True, 2 * size, bounded)
        told, times = {}, defaultdict(list)
        for size, chooser in choosers.items():
            began = time.process_time()
            chooser.replay(trials[:size], METRIC)
            told[size] = time.process_time() - began
        for turn in range(DECISIONS):
            for size, chooser in choosers.items():
                began = time.process_time()
                chooser.propose(size + turn, size + turn)
                chooser.report(size + turn, RUNGS[0], 0.5)
                chooser.tell(size + turn, 0.5, False)
                times[size].append(1000 * (time.process_time() - began))
        for size in choosers:
            print(f"{sampler:<10} {size:>7,}  {statistics.median(times[size]):8.1f} ms a decision, "
                  f"told in {told[size]:.1f} s", flush=True)
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


def engine(count: int, which: str) -> None:
    """Print what a trial costs an engine, driver and one worker together, in wall time and in the driver's processor's.

    Trials are drawn at random from a small space, and nobody tracks them.
    """
    from trials import SMALL, IdleSearch, locally, on_ray

    from autotricks.data import load as load_data
    from autotricks.runs import folder as folders
    from autotricks.runs.ledger import Ledger
    from autotricks.space.load import load_space

    class Marks:
        times: list[tuple[float, float]] = []
        started = reached = staticmethod(lambda *arguments: None)

        def ended(self, *arguments: Any) -> None:
            self.times.append((time.perf_counter(), time.process_time()))
    run: Callable[..., int] = {"ray": on_ray, "local": locally}[which]
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "one.yaml").write_text(SMALL, "utf-8")
        loaded = load_space(Path(name) / "one.yaml", [f"search.trials={count}", "search.parallel=2"])
        ledger, marks = Ledger(Path(name) / folders.LEDGER), Marks()
        run(IdleSearch(loaded, ledger, [marks]), load_data(loaded.document.data.settings()).dataset.without_test(),
            Path(name))
        ledger.close()
    for size in [size for size in SIZES if size <= count]:
        (wall, worked), (later, more) = marks.times[size - WINDOW], marks.times[size - 1]
        print(f"{which:<6} {size:>7,}  {1000 * (later - wall) / (WINDOW - 1):7.1f} ms a trial, "
              f"{1000 * (more - worked) / (WINDOW - 1):7.1f} ms of them the driver's processor")
    print(f"largest memory of the driver: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


def main() -> int:
    """Run one part."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("part", choices=("drive", "report", "resume", "decide", "engine"))
    words.add_argument("folder", nargs="?", type=Path, default=Path("scale"))
    words.add_argument("--trials", type=int, default=SIZES[-1])
    words.add_argument("--seconds", type=float, default=1e9, help="after which `drive` stops, to go on another time")
    words.add_argument("--sampler", default="bayesian", help="of `drive` and `resume`; `random` is soon through")
    words.add_argument("--untracked", action="store_true", help="leave MLflow out of `drive`")
    words.add_argument("--engine", choices=("ray", "local"), default="ray")
    words.add_argument("--unbounded", action="store_true", help="show Optuna all trials in `decide`")
    given = words.parse_args()
    if given.part == "drive":
        drive(given.folder, given.trials, given.seconds, given.sampler, not given.untracked)
    elif given.part == "report":
        report(given.folder)
    elif given.part == "resume":
        resume(given.folder, given.sampler)
    elif given.part == "decide":
        decide(given.trials, not given.unbounded)
    else:
        engine(given.trials, given.engine)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a trial costs beside its training, how soon the first step comes, and how trials share a machine.

Marginal cost: 100 trials that train nothing report at three rungs each, through the real search, ledger, engine and
worker processes; the slope of the time between the end of the 24th and that of the 72nd, times the workers. Start-up:
from the command to the first training step, as a program of its own. Scaling: 24 whole trainings of one bundle on 1, 2
and 4 workers. Efficiency: what searches print of themselves.
"""
from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from machine import Row, Target, conclude, parser, spread

from autotricks.core.dataset import Dataset
from autotricks.core.reporting import End
from autotricks.data import load as load_data
from autotricks.runs import folder as folders
from autotricks.runs.ledger import Ledger
from autotricks.runs.trial import Outcome, RungPlan, Trial
from autotricks.space.load import load_space
from autotricks.system.workers import cores
from autotricks.tuning.engines import device_team
from autotricks.tuning.engines.rung_training import RungTrainer
from autotricks.tuning.search import Search

FROM, TO, TRIALS, WORKERS = 24, 72, 100, 2
LOCAL, RAY = Target(most=2.0), Target(most=20.0)                 # milliseconds of a worker's time
SOON = {"local": Target(most=5.0), "ray": Target(most=12.0)}     # seconds
LINEAR = {2: Target(least=0.95), 4: Target(least=0.85)}
BUSY = Target(least=0.60)
SMALL = """
name: one
training: {epochs: 27}
search: {sampler: random, rungs: {first: 3, reduction: 3}}
tricks: {sgd: {lr: search}, mixup: {}, label_smoothing: {}}
"""
FIRST = """
import sys, threading, time
def watch():
    name = "autotricks.tuning.search"
    while not hasattr(sys.modules.get(name), "Search"):
        time.sleep(0.005)
    search = sys.modules["autotricks.tuning.search"].Search
    report = search.report
    def told(self, trial, outcome, attempt=1):
        print("FIRST", time.time() - outcome.seconds, file=sys.stderr, flush=True)
        search.report = report
        return report(self, trial, outcome, attempt)
    search.report = told
threading.Thread(target=watch, daemon=True).start()
from autotricks.cli import main
main()
"""


class Nothing(RungTrainer):
    """Climbs without training anything."""

    def reach(self, rung: int) -> Outcome:
        """Return at once."""
        last = rung + 1 == len(self.course.budgets)
        return Outcome(rung, End.FINISHED if last else None, {"val/balanced_accuracy": 0.5}, [], 0.0, 0.0,
                       b"" if last else None)


@dataclass(frozen=True)
class Idle(RungPlan):
    """A course on which nothing is trained."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive in a worker, whose trials reach every rung at once from then on."""
        self.__dict__.update(state)
        device_team.RungTrainer = Nothing   # type: ignore[misc]


class IdleSearch(Search):
    """A search whose trials train nothing and are all kept."""

    def course(self, trust: bool = False) -> RungPlan:
        """Return what the workers are to do."""
        return Idle(self.budgets)

    def verdict(self, trial: Trial, outcome: Outcome, kept: bool) -> End | None:
        """Let every trial go on to its end."""
        return outcome.end

    def is_new_best(self, trial: Trial, outcome: Outcome) -> bool:
        """Want nobody's weights."""
        return False


@dataclass
class Ends:
    """Notes when trials end."""

    times: list[float] = field(default_factory=list)

    def started(self, trial: Trial) -> None:
        """Hear that a trial begins."""

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Hear of a rung."""

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())


def marginal(run: Callable[[Search, Dataset, Path], int]) -> float:
    """Return the milliseconds of a worker's time that one more trial costs, decided at random in a small space."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "one.yaml").write_text(SMALL, "utf-8")
        loaded = load_space(Path(folder) / "one.yaml", [f"search.trials={TRIALS}", f"search.parallel={WORKERS}"])
        dataset, ends = load_data(loaded.document.data.settings()).dataset.without_test(), Ends()
        ledger = Ledger(Path(folder) / folders.LEDGER)
        run(IdleSearch(loaded, ledger, [ends]), dataset, Path(folder))
        ledger.close()
    return 1000 * WORKERS * (ends.times[TO - 1] - ends.times[FROM - 1]) / (TO - FROM)


def locally(search: Search, dataset: Dataset, folder: Path) -> int:
    from autotricks.tuning.engines.engine import TrainingOptions
    from autotricks.tuning.engines.local import LocalEngine

    return LocalEngine(TrainingOptions()).run(search, dataset, folder, WORKERS)


def on_ray(search: Search, dataset: Dataset, folder: Path) -> int:
    from autotricks.tuning.engines import ray_tune
    from autotricks.tuning.engines.ray_cluster import connect

    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    connect(None, WORKERS)      # whose processes find this file's classes by the path
    return ray_tune.run(search, dataset, folder)


def deciding(sampler: str) -> float:
    """Return the milliseconds that the 24th to 72nd proposals of a sampler take, each."""
    from autotricks.tuning.optuna_sampler import OptunaSampler

    space, times = load_space("long_tail.yaml").space, []
    chooser = OptunaSampler(space, sampler, 0, True, TRIALS)
    for number in range(TO):
        started = time.perf_counter()
        chooser.propose(number, number)
        chooser.report(number, 3, number / TO)
        chooser.tell(number, number / TO, number % 3 == 0)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.fmean(times[FROM:])


def first_step(engine: str) -> float:
    """Return the seconds from the command to the first training step of a search."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        ended = subprocess.run(
            [sys.executable, "-c", FIRST, "search", "--space", "long_tail.yaml", "--set", f"search.engine={engine}",
             "--set", f"search.parallel={WORKERS}", "--trials", str(WORKERS), "--no-confirm", "--root", folder],
            capture_output=True, text=True, timeout=600, check=True)
    return float(next(line for line in ended.stderr.splitlines() if line.startswith("FIRST")).split()[1]) - began


def trials_per_second(workers: int, trials: int) -> float:
    """Return how many whole trainings of the baseline `workers` local workers do in a second, once all are at work."""
    loaded = load_space("long_tail.yaml", [
        f"search.trials={trials}", "search.rungs.first=20", "training.epochs=20", "search.engine=local",
        f"search.parallel={workers}", "search.sampler=random"])
    dataset, ends = load_data(loaded.document.data.settings()).dataset.without_test(), Ends()
    from autotricks.tuning.engines.engine import TrainingOptions
    from autotricks.tuning.engines.local import LocalEngine

    class Same(Search):
        """A search of one bundle again and again."""

        def propose(self) -> Trial | None:
            proposed = super().propose()
            return proposed and self._same(proposed)

        def _same(self, proposed: Trial) -> Trial:
            trial = Trial(proposed.number, "", loaded.start["baseline"])
            self._trials[trial.number] = trial
            return trial
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / folders.LEDGER)
        LocalEngine(TrainingOptions()).run(Same(loaded, ledger, [ends]), dataset, Path(folder), workers)
        ledger.close()
    counted = ends.times[workers - 1:-workers or None]
    return (len(counted) - 1) / (counted[-1] - counted[0])


def efficiency(engine: str) -> float:
    """Return the share of its slots' time that a search of the digits spends training, by its own account."""
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            [sys.executable, "-m", "autotricks", "search", "--space", "long_tail.yaml", "--json", "--set",
             f"search.engine={engine}", "--root", folder], capture_output=True, text=True, timeout=900, check=True)
    return float(json.loads(ended.stdout)["efficiency"])


def repeated(figure: Callable[[], float], times: int) -> Any:
    return spread(figure() for _ in range(times))


def measure(quick: bool) -> list[Row]:
    """Return the rows of this part."""
    times, counts = (1, (1, 2)) if quick else (3, [count for count in (1, 2, 4) if count <= cores()])
    rows = [Row("100 trials", "one more trial, local engine", repeated(lambda: marginal(locally), times), "ms", LOCAL),
            Row("100 trials", "one more trial, Ray", repeated(lambda: marginal(on_ray), times), "ms", RAY)]
    rows += [Row("45 tricks", f"one decision of {name}", repeated(lambda name=name: deciding(name), times), "ms")
             for name in ("random", "tpe", "bayesian")]
    rows += [Row("digits", f"command to first step, {engine}", repeated(lambda e=engine: first_step(e), times), "s",
                 target) for engine, target in SOON.items()]
    speeds = {count: repeated(lambda c=count: trials_per_second(c, 6 if quick else 24), times) for count in counts}
    rows += [Row("digits", f"{count} workers / 1, of linear", spread(
        [speed.median / speeds[1].median / count]), "x", LINEAR[count], f"{speed.median:.2f} trials/s")
        for count, speed in speeds.items() if count > 1]
    if not quick:
        rows += [Row("digits", f"training CPU of slots x wall, {engine}", repeated(lambda e=engine: efficiency(e), 1),
                     "x", BUSY) for engine in SOON]
    return rows


if __name__ == "__main__":
    sys.exit(conclude({"trials": measure}, parser(__doc__).parse_args()))

"""What a search adds to the best bundle that it starts from: whole searches on nine data sets, judged on test.

*Added value* is the champion's balanced accuracy on test less that of the best published start bundle, both trained
again with the same fresh seeds, which no search and no confirmation has used. Every arm spends the epochs of 16 full
trainings, then the three that it thinks best and the best start bundle are confirmed alike: five fresh seeds each, the
best mean on validation is the champion.

    python benchmarks/added_value.py run --data FOLDER --work added_value.jsonl --arms search tuned --seeds 0 1
    python benchmarks/added_value.py show --work added_value.jsonl

`run` goes on where it was; what is trained once serves all arms. `--priors FOLDER` holds priors learned without the
set that they are used on, SET.json (`benchmarks/trickbench/fit.py --without SET`).
"""
from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import sets
from stretches import Bench, outcome_of
from trainings import ACCURACY, Store

from autotricks.core.bundle import Bundle
from autotricks.core.objective import Objective
from autotricks.runs.ledger import Ledger, records
from autotricks.space.load import LoadedSpace
from autotricks.tricks.catalog import bundle_from
from autotricks.tuning.bayesian_sampler import HABITS, Habits
from autotricks.tuning.samplers import ranked, sampler_of
from autotricks.tuning.search import Search

TRAININGS, TOP = 16, 3
CONFIRM = range(1000, 1005)
JUDGE = range(2000, 2010)
PUBLISHED = "mixup_balanced_softmax"


def load(bench: Bench, seed: int, more: Sequence[str] = ()) -> LoadedSpace:
    """Return the space that ships on a set, with a prior that was not learned from this set."""
    found = sets.load(bench.name, bench.folder, [
        f"search.seed={seed}", f"tricks.warmup.epochs={{uniform: [0, {sets.recipes()[bench.name].epochs / 10:g}]}}",
        *([f"search.prior={bench.priors / bench.name}.json"] if bench.priors else []), *more])
    return replace(found, images=len(sets.dataset(bench.name, bench.folder).train))


def by_search(bench: Bench, seed: int, more: Sequence[str] = (), habits: Habits = HABITS) -> dict[str, Any]:
    """Search as `autotricks search` does, in this process; return what is to be confirmed, best first."""
    loaded = load(bench, seed, [f"search.trainings={TRAININGS}", "search.trials=1000", *more])
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "trials.jsonl")
        search = Search(loaded, ledger, sampler=sampler_of(loaded, habits))
        deciding, trials = 0.0, 0
        while True:
            began = time.monotonic()
            trial = search.propose()
            deciding += time.monotonic() - began
            if trial is None:
                break
            trials += 1
            stretch, before = bench.stretch(trial.bundle), 0.0
            for rung, budget in enumerate(search.budgets):
                outcome, before = outcome_of(stretch.until(budget), rung, budget, search.budgets[-1], before)
                score = search.report(trial, outcome)
                end = search.verdict(trial, outcome, score)
                if end is not None:
                    if search.is_new_best(trial, outcome):
                        search.set_best(trial, outcome, b"")
                    search.finish(trial, end)
                    break
        past = records(ledger.lines)
        ledger.close()
    chosen = [(bundle_from(past[number].bundle), score) for number, score in ranked(loaded, past)]
    log = [[record.number, record.label or record.why, [line["metrics"].get(ACCURACY) for line in record.rungs],
            record.end] for record in past]
    return {"chosen": chosen, "spent": sum(record.epochs for record in past) / search.budgets[-1], "trials": trials,
            "decision_ms": round(1000 * deciding / max(1, trials), 1), "log": log}


def by_tuning(bench: Bench, seed: int) -> dict[str, Any]:
    """Train the published bundle with rate, decay and alpha at random; return the best, best first."""
    start, rng = load(bench, seed).start[PUBLISHED], random.Random(f"tuned/{seed}")

    def tuned() -> Bundle:
        values = {"sgd": {"lr": math.exp(rng.uniform(math.log(0.02), 0.0)),
                          "weight_decay": math.exp(rng.uniform(math.log(1e-5), math.log(5e-3)))},
                  "mixup": {"alpha": rng.uniform(0.1, 2.0)}}
        return replace(start, uses=tuple(replace(use, trick=replace(use.trick, **values.get(use.trick.name, {})))
                                         for use in start.uses))
    return _trained(bench, [start, *(tuned() for _ in range(TRAININGS - 1))])


def as_it_was(bench: Bench, seed: int) -> dict[str, Any]:
    """Search with the code in the folder that BEFORE names: `git worktree add FOLDER 55ff6ad`."""
    command = [sys.executable, str(Path(__file__).with_name("as_it_was.py")), bench.name, str(seed), "--data",
               str(bench.folder), "--store", str(bench.store.path), "--trainings", str(TRAININGS)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.environ["BEFORE"]}, capture_output=True,
                          text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "chosen": [(bundle_from(document), score) for document, score in found["chosen"]]}


def by_prior(bench: Bench, seed: int) -> dict[str, Any]:
    """Train bundles drawn from the prior; return the best, best first."""
    from autotricks.tuning.bayesian_sampler import BayesianSampler
    from autotricks.tuning.prior import load as load_prior

    loaded = load(bench, seed)
    sampler = BayesianSampler(loaded.space, seed, (loaded.space.frame.epochs,), Objective(ACCURACY),
                              load_prior(loaded.document.search.prior))
    start = list(loaded.start.values())
    return _trained(bench, [*start, *(sampler.drawn(number) for number in range(len(start), TRAININGS))])


def _trained(bench: Bench, bundles: Iterable[Bundle]) -> dict[str, Any]:
    rows = [(bundle, bench.train(bundle)) for bundle in bundles]
    done = [(bundle, row["accuracy"][-1]) for bundle, row in rows if row["end"] == "finished"]
    return {"chosen": sorted(done, key=lambda pair: -pair[1]), "trials": len(rows),
            "spent": sum(row["spent"] for _, row in rows) / rows[0][0].epochs}


WITHOUT = {"portfolio": Habits(portfolio=False), "steps": Habits(kinds=("draw",)), "repeats": Habits(repeats=False),
           "stops": Habits(stops=False), "waits": Habits(waits=False)}
ARMS: dict[str, Callable[[Bench, int], dict[str, Any]]] = {
    "search": by_search,
    "as it was": as_it_was,
    "tuned": by_tuning,
    "prior": by_prior,
    "search, no prior": lambda bench, seed: by_search(bench, seed, ["search.prior=none"]),
    **{f"search, no {means}": partial(by_search, habits=habits) for means, habits in WITHOUT.items()},
}


def judged(arm: str, bench: Bench, seed: int) -> dict[str, Any]:
    """Run an arm, confirm what it chose, and train champion and start bundles again."""
    found = ARMS[arm](bench, seed)
    start = load(bench, seed).start
    best_start = max(start, key=lambda label: bench.train(start[label])["accuracy"][-1] or 0.0)
    candidates = {bundle.hash: (bundle, score) for bundle, score in found["chosen"][:TOP]}
    plain = replace(start[best_start], seed=seed)
    candidates.setdefault(plain.hash, (plain, bench.train(plain)["accuracy"][-1]))
    means = {digest: fmean(bench.train(replace(bundle, seed=fresh))["accuracy"][-1] or 0.0 for fresh in CONFIRM)
             for digest, (bundle, _) in candidates.items()}
    champion, searched = candidates[max(means, key=lambda digest: means[digest])]
    again = [bench.train(replace(champion, seed=fresh)) for fresh in JUDGE]
    reference = {label: [bench.train(replace(bundle, seed=fresh))["test"] or 0.0 for fresh in JUDGE]
                 for label, bundle in start.items()}
    return {"arm": arm, "set": bench.name, "seed": seed, "spent": round(found["spent"], 2), "trials": found["trials"],
            "decision_ms": found.get("decision_ms"), "log": found.get("log"), "champion": champion.document()["tricks"],
            "is_start": champion.hash == plain.hash, "searched": searched,
            "confirmed": max(means.values()), "validation": [row["accuracy"][-1] for row in again],
            "test": [row["test"] or 0.0 for row in again], "start": reference}


def _job(job: tuple[str, str, int, Path, Path, Path | None]) -> dict[str, Any]:
    arm, name, seed, folder, work, priors = job
    return judged(arm, Bench(name, folder, Store(work.with_suffix(".trainings.jsonl")), priors), seed)


def run(given: argparse.Namespace) -> None:
    """Run what is missing."""
    done = {(row["arm"], row["set"], row["seed"]) for row in _rows(given.work)}
    jobs = [(arm, name, seed, given.data, given.work, given.priors) for seed in given.seeds for arm in given.arms
            for name in given.sets if (arm, name, seed) not in done]
    with ProcessPoolExecutor(given.parallel, max_tasks_per_child=8) as pool, given.work.open("a") as file:
        for future in as_completed([pool.submit(_job, job) for job in jobs]):
            row = future.result()
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{row['arm']:24} {row['set']:20} {row['seed']} spent {row['spent']:5.1f} trials {row['trials']:3} "
                  f"added {100 * _added(row):+.1f}", flush=True)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def _added(row: dict[str, Any]) -> float:
    """Return what the champion is better than the best start bundle on test."""
    return fmean(row["test"]) - max(fmean(scores) for scores in row["start"].values())


def show(given: argparse.Namespace) -> None:
    """Print the table of sets and arms."""
    from autotricks.stats.intervals import interval

    rows = _rows(given.work)
    arms = given.arms or sorted({row["arm"] for row in rows})
    names = [name for name in sets.recipes() if any(row["set"] == name for row in rows)]
    print("| set | best start |" + "".join(f" {arm} |" for arm in arms))
    print("| --- | --- |" + " --- |" * len(arms))
    means: dict[str, list[float]] = {arm: [] for arm in arms}
    for name in names:
        here = [row for row in rows if row["set"] == name]
        best = max(fmean(scores) for scores in here[0]["start"].values())
        cells = []
        for arm in arms:
            added = [100 * _added(row) for row in here if row["arm"] == arm]
            if added:
                means[arm].append(fmean(added))
            spread = f" ({min(added):+.1f} to {max(added):+.1f})" if len(added) > 1 else ""
            cells.append(f"{fmean(added):+.1f}{spread}" if added else "-")
        print(f"| {name} | {100 * best:.1f} | " + " | ".join(cells) + " |")
    cells = []
    for arm in arms:
        if len(means[arm]) > 1:
            gap = interval(means[arm])
            cells.append(f"{gap.mean:+.2f} ({gap.low:+.2f} to {gap.high:+.2f})")
        else:
            cells.append("-")
    print("| mean, 95% interval over sets | | " + " | ".join(cells) + " |")
    for arm in arms:
        own = [row for row in rows if row["arm"] == arm]
        if own:
            print(f"{arm}: {len(own)} searches, spent {fmean(row['spent'] for row in own):.1f} trainings, "
                  f"search score less validation of fresh seeds {100 * _optimism(own, 'searched'):+.2f}, "
                  f"confirmed less them {100 * _optimism(own, 'confirmed'):+.2f}, "
                  f"start bundle kept {sum(row['is_start'] for row in own)}")


def _optimism(rows: list[dict[str, Any]], name: str) -> float:
    return fmean(row[name] - fmean(value or 0.0 for value in row["validation"]) for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what searches add to the best bundle that they start from.")
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, default=Path("added_value.jsonl"))
    parser.add_argument("--priors", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*sets.recipes()], choices=[*sets.recipes()])
    parser.add_argument("--arms", nargs="+", default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--parallel", type=int, default=2)
    given = parser.parse_args()
    (run if given.what == "run" else show)(given)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Search once with an earlier version of autotricks; print what it found as JSON. `added_value.py` runs this.

git worktree add ../before 55ff6ad
PYTHONPATH=../before python benchmarks/as_it_was.py gtsrb 0 --data FOLDER --store trainings.jsonl
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).parent))

import sets
from stretches import Bench, outcome_of
from trainings import ACCURACY, Store

from autotricks.runs.ledger import Ledger, records
from autotricks.tuning.search import Search


def searched(bench: Bench, seed: int, trainings: float) -> dict[str, Any]:
    """Search until so many full trainings' worth of epochs are spent."""
    warm = f"tricks.warmup.epochs={{uniform: [0, {sets.recipes()[bench.name].epochs / 10:g}]}}"
    loaded = sets.load(bench.name, bench.folder, [f"search.seed={seed}", "search.trials=1000", warm])
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "trials.jsonl")
        search: Any = Search(loaded, ledger)
        rule, whole, spent = search.halving(), search.budgets[-1], 0.0
        while spent < trainings * whole and (trial := search.propose()) is not None:
            stretch, before = bench.stretch(trial.bundle), 0.0
            for rung, budget in enumerate(search.budgets):
                outcome, before = outcome_of(stretch.until(budget), rung, budget, whole, before)
                spent += outcome.epochs
                score = search.report(trial, outcome)
                kept = score is not None and rule.keeps(rung, search.gain(score), search.waits(trial.number, rung))
                end = search.verdict(trial, outcome, kept)
                if end is not None:
                    search.finish(trial, end)
                    break
        past = records(ledger.lines)
        ledger.close()
    done = [(trial.bundle, trial.score(ACCURACY)) for trial in past if trial.end == "finished"]
    log = [[trial.number, trial.label, [line["metrics"].get(ACCURACY) for line in trial.rungs], trial.end]
           for trial in past]
    return {"chosen": sorted(done, key=lambda pair: -pair[1]), "spent": spent / whole, "trials": len(past), "log": log}


def main() -> int:
    parser = argparse.ArgumentParser(description="Search once with the autotricks that PYTHONPATH names.")
    parser.add_argument("name", choices=[*sets.recipes()])
    parser.add_argument("seed", type=int)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--trainings", type=float, default=16)
    given = parser.parse_args()
    print(json.dumps(searched(Bench(given.name, given.data, Store(given.store)), given.seed, given.trainings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

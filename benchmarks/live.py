"""Search policies held against each other by real searches of the digits, at about equal epochs.

Each search has its own seed; its champion is trained again with fresh seeds and judged on test, which no search has
seen. Reported: confirmed accuracy and epochs of each arm, and the paired difference with its 95% interval.

    python benchmarks/live.py --searches 10 --arms "compressed 2 5 24" "prefix 3 3 24"

An arm is fidelity, first rung, reduction and trials; a fifth word names a sampler.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

METRIC = "val/balanced_accuracy"


def searched(job: tuple[str, int, int]) -> dict[str, Any]:
    """Search once on one worker, train the champion again, and return what came out."""
    import torch

    from autotricks import experiment
    from autotricks.data import load as load_data
    from autotricks.space.load import load_space
    from autotricks.trial import run_trial

    torch.set_num_threads(1)
    arm, seed, seeds = job
    fidelity, first, reduction, trials, *sampler = arm.split()
    space = load_space("long_tail.yaml", [
        "search.engine=local", "search.parallel=1", f"search.seed={seed}", f"training.seed={seed}",
        f"search.rungs.fidelity={fidelity}", f"search.rungs.first={first}", f"search.rungs.reduction={reduction}",
        f"search.trials={trials}", *(f"search.sampler={name}" for name in sampler)])
    with tempfile.TemporaryDirectory() as folder:
        found = experiment.search(space, experiment.Options(Path(folder), tracking="off", confirm=False))
    assert found.champion is not None
    data = load_data(space.document.data.settings()).dataset
    judged = replace(data, validation=data.test)
    scores = [run_trial(replace(found.champion.trial.bundle, seed=1000 + fresh), judged).metrics[METRIC]
              for fresh in range(seeds)]
    return {"arm": arm, "seed": seed, "epochs": found.spent, "search": found.champion.score,
            "confirmed": sum(scores) / len(scores), "bundle": str(found.champion.trial.bundle)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold search policies against each other by real searches.")
    parser.add_argument("--arms", nargs="+", default=["compressed 2 5 24", "prefix 3 3 24"])
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each champion")
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    jobs = [(arm, seed, given.seeds) for seed in range(given.searches) for arm in given.arms]
    with ProcessPoolExecutor(given.parallel) as pool:
        rows = list(pool.map(searched, jobs))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    from autotricks.core.interval import interval

    base = {row["seed"]: row["confirmed"] for row in rows if row["arm"] == given.arms[0]}
    for arm in given.arms:
        own = [row for row in rows if row["arm"] == arm]
        mean = sum(row["confirmed"] for row in own) / len(own)
        print(f"{arm:28} confirmed {mean:.4f}, {sum(row['epochs'] for row in own) / len(own):.0f} epochs", end="")
        if arm != given.arms[0] and len(own) > 1:
            gap = interval([row["confirmed"] - base[row["seed"]] for row in own])
            print(f", difference {gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})", end="")
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())

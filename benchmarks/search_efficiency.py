"""What the prior and the model of the default sampler are worth, replayed on TrickBench without training anything.

A policy chooses among the bundles that were recorded on a set, sees the validation curve of one seed, and pays for
each epoch. Reported, in the mean over the sets: by how many points the bundle that the policy would choose after so
many full trainings is better on test than the best start bundle, mean over the recorded seeds.

- *random*: whole trainings in random order.
- *halving*: asynchronous halving (Ray's rule), random order, the best third at a ninth and a third of training go on.
- *model*: the sampler's model of effects without a prior; the bundle of largest expected improvement comes next.
- *prior*: the same with the prior learned from the other sets.

    python benchmarks/search_efficiency.py --priors FOLDER          # SET.json, by trickbench/fit.py --without SET

With a table to choose from there are no steps: `added_value.py` measures whole searches.
"""
from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from trickbench.fit import START, logit
from trickbench.tables import Table, read

from autotricks.tuning.effect_model import EffectModel, Observation, expected_improvement
from autotricks.tuning.features import Features, wish_of
from autotricks.tuning.halving import Halving, budgets
from autotricks.tuning.prior import Prior, load as load_prior

HERE = Path(__file__).parent / "trickbench"
AFTER = (4, 8, 16)      # full trainings


@dataclass(frozen=True)
class Replay:
    """A table as policies see it.

    Args:
        epochs: Of a training.
        start: Rows of the start bundles, which come first.
        curves: Validation accuracy after each epoch, [N, T].
        true: Test accuracy, mean over seeds, [N]; 0 where training broke down.
        vectors: Of the bundles, [N, D].
        features: Whose vectors.
    """

    epochs: int
    start: tuple[int, ...]
    curves: Any
    true: Any
    vectors: Any
    features: Features

    @classmethod
    def of(cls, table: Table) -> Replay:
        """Return the bundles of a table that were trained."""
        rows = [one for one in table.bundles if one.runs and one.runs[0]["end"] == "finished"]
        features = Features(sorted({use.trick.name for one in rows for use in one.bundle.uses}), table.epochs)
        labels = [one.label for one in rows]
        return cls(table.epochs, tuple(labels.index(label) for label in START),
                   np.array([one.runs[0]["accuracy"] for one in rows], float),
                   np.array([fmean(run["test"] or 0.0 for run in one.runs) for one in rows]),
                   features.matrix([wish_of(one.bundle) for one in rows]), features)


def added(replay: Replay, chosen: int) -> float:
    """Return the points on test that a bundle has more than the best start bundle."""
    return 100 * float(replay.true[chosen] - replay.true[list(replay.start)].max())


def in_turn(replay: Replay, rng: random.Random, halved: bool) -> Iterator[tuple[float, int]]:
    """Yield full trainings spent and the best so far by validation, bundles in random order."""
    rungs = budgets(replay.epochs, max(1, round(replay.epochs / 9)), 3)
    rule, spent, best, score = Halving(3, len(rungs)), 0.0, replay.start[0], -math.inf
    others = [row for row in range(len(replay.true)) if row not in replay.start]
    rng.shuffle(others)
    for row in [*replay.start, *others]:
        before = 0
        for rung, budget in enumerate(rungs):
            spent += (budget - before) / replay.epochs
            before = budget
            kept = rule.keeps(rung, replay.curves[row][budget - 1])
            if budget == replay.epochs and replay.curves[row][-1] > score:
                best, score = row, replay.curves[row][-1]
            if halved and not kept and row not in replay.start:
                break
        yield spent, best


def by_model(replay: Replay, prior: Prior) -> Iterator[tuple[float, int]]:
    """Yield full trainings spent and the best so far by the model, which chooses what comes next."""
    mean, variance = prior.columns(replay.features)
    model = EffectModel(mean, variance, prior.residual, prior.length)
    seen = list(replay.start)
    for spent in range(1, len(seen)):
        yield float(spent), seen[0]
    while len(seen) < len(replay.true):
        model.learn([Observation(replay.vectors[row], float(logit(replay.curves[row][-1])), prior.noise)
                     for row in seen])
        middle, sd = model.predict(replay.vectors)
        best = max(seen, key=lambda row: middle[row])
        yield float(len(seen)), best
        told = sd ** 2 / np.sqrt(sd ** 2 + prior.noise ** 2)
        worth = expected_improvement(middle, told, float(middle[best]))
        worth[seen] = -1
        seen.append(int(np.argmax(worth)))


def after(path: Iterator[tuple[float, int]], replay: Replay) -> list[float]:
    """Return what a policy's choice adds after so many trainings."""
    found, known = [], replay.start[0]
    steps = iter(path)
    spent, row = next(steps)
    for limit in AFTER:
        while spent <= limit:
            known = row
            following = next(steps, None)
            if following is None:
                break
            spent, row = following
        found.append(added(replay, known))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay policies on recorded learning curves.")
    parser.add_argument("--priors", type=Path, required=True)
    parser.add_argument("--shuffles", type=int, default=100)
    given = parser.parse_args()
    names = sorted(path.name.removesuffix(".json.gz") for path in HERE.glob("*.json.gz"))
    table: dict[str, list[list[float]]] = {}
    ceiling = []
    for name in names:
        replay = Replay.of(read(name))
        for arm, halved in (("random", False), ("halving", True)):
            runs = [after(in_turn(replay, random.Random(seed), halved), replay) for seed in range(given.shuffles)]
            table.setdefault(arm, []).append(np.mean(runs, 0).tolist())
        table.setdefault("model", []).append(after(by_model(replay, Prior()), replay))
        prior = load_prior(str(given.priors / f"{name}.json"))
        table.setdefault("prior", []).append(after(by_model(replay, prior), replay))
        ceiling.append(added(replay, int(np.argmax(replay.true))))
    print("| policy | " + " | ".join(f"after {limit} trainings" for limit in AFTER) + " |")
    print("| --- |" + " --- |" * len(AFTER))
    for arm, rows in table.items():
        print(f"| {arm} | " + " | ".join(f"{value:+.2f}" for value in np.mean(rows, 0)) + " |")
    print(f"Best on test of all that was recorded: {fmean(ceiling):+.2f}; by set: "
          + ", ".join(f"{name} {value:+.1f}" for name, value in zip(names, ceiling, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

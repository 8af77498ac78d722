"""Learn the prior of the search from TrickBench: what each trick brings, how much that differs among data sets.

    python benchmarks/trickbench/fit.py --out autotricks/tuning/prior.json
    python benchmarks/trickbench/fit.py --without gtsrb --out gtsrb.json         # to judge it on gtsrb
    python benchmarks/trickbench/fit.py --tables benchmarks/trickbench/boxes --out autotricks/tuning/box_prior.json

The effects of a set are draws from normal distributions, one for each column of `autotricks.tuning.features`, whose
means and variances are those under which the tables are most likely (type-II maximum likelihood, with weak priors). A
bundle counts as the mean of its balanced accuracy, or its average precision, on validation and on test, in logits.
"""
from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from autotricks.tuning.bayesian_sampler import EDGE  # noqa: E402
from autotricks.tuning.effect_model import LEVEL  # noqa: E402
from autotricks.tuning.features import Features, wish_of  # noqa: E402
from trickbench.bundles import found_on  # noqa: E402
from trickbench.tables import Table, read  # noqa: E402

STEPS = 300
MEAN_SD, SPREAD, SPREAD_SD = 0.3, 0.12, 0.7     # of the weak priors: of means; of deviations, in the logarithm
FRACTIONS = (0.1, 0.17, 0.25, 1 / 3, 0.5, 0.7, 0.85)
GAIN_SD = 0.15      # of how much more or less a column's early score rises
FEWEST = 5          # sets that a deviation is counted as known from, at least
ENOUGH = 500        # trainings from which it is learned how early scores go with final ones
CHUNK = 1.0         # logits below the worst that a training which broke down counts as

PORTFOLIO = 6       # bundles
EPOCHS = 50         # in which they are written down
START = ("baseline", "mixup_balanced_softmax")

Arrays = dict[str, Any]


def apart(table: Table, without: Sequence[str]) -> Table:
    """Return a table without the bundles that searches found on sets that are left out."""
    return replace(table, rows=tuple(row for row in table.rows if found_on(row["label"]) not in without))


def logit(values: Any) -> Any:
    inside = np.clip(values, EDGE, 1 - EDGE)
    return np.log(inside / (1 - inside))


def arrays(table: Table, tricks: Sequence[str]) -> Arrays:
    """Return a table's trainings: vectors [N, D], scores [N], and validation curves [N, T]."""
    features = Features(tricks, table.epochs)
    vectors, scores, curves = [], [], []
    for recorded in table.bundles:
        vector = features.vector(wish_of(recorded.bundle))
        for run in recorded.runs:
            done = run["end"] == "finished" and run["test"] is not None
            vectors.append(vector)
            scores.append(float(logit((run["accuracy"][-1] + run["test"]) / 2)) if done else math.nan)
            curves.append(logit(np.array(run["accuracy"], float)) if done else np.full(table.epochs, math.nan))
    found = np.array(scores)
    found[np.isnan(found)] = np.nanmin(found) - CHUNK
    return {"names": features.names, "x": np.array(vectors), "y": found, "curves": np.array(curves)}


def fitted(sets: Sequence[Arrays]) -> dict[str, Any]:
    """Return means and deviations of effects, and the scales of what is beside them."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    size = len(sets[0]["names"])
    mean = torch.zeros(size, requires_grad=True)
    spread = torch.full((size,), math.log(SPREAD), requires_grad=True)
    scales = torch.tensor([math.log(0.15), math.log(2.0), math.log(0.2)], requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [mean], "lr": 0.02}, {"params": [spread], "lr": 0.05},
                                  {"params": [scales], "lr": 0.03}])
    tensors = []
    for one in sets:
        x = torch.tensor(one["x"])
        tensors.append((x, torch.tensor(one["y"]), torch.cdist(x, x) ** 2))
    for _ in range(STEPS):
        optimizer.zero_grad()
        residual, length, noise = torch.exp(scales)
        loss = 0.5 * (mean ** 2).sum() / MEAN_SD ** 2
        loss = loss + 0.5 * ((spread - math.log(SPREAD)) ** 2).sum() / SPREAD_SD ** 2
        for x, y, distance in tensors:
            covariance = (LEVEL ** 2 + (x * torch.exp(2 * spread)) @ x.T
                          + residual ** 2 * torch.exp(-distance / (2 * length ** 2))
                          + noise ** 2 * torch.eye(len(y)))
            factor = torch.linalg.cholesky(covariance)
            surprise = (y - x @ mean)[:, None]
            weighted = torch.cholesky_solve(surprise, factor)
            loss = loss + 0.5 * (surprise * weighted).sum() + torch.log(torch.diagonal(factor)).sum()
        loss.backward()
        optimizer.step()
    seen = np.array([sum((one["x"][:, place] != 0).any() for one in sets) for place in range(size)])
    # what a set more will have, where mean and spread are known from so few sets: Student's t has this deviation
    sure = np.maximum(seen, FEWEST)
    deviation = np.exp(spread.detach().numpy()) * np.sqrt((1 + 1 / sure) * (sure - 1) / (sure - 3))
    residual, length, noise = torch.exp(scales).tolist()
    return {"residual": round(residual, 4), "length": round(length, 4), "noise": round(noise, 4),
            "effects": {name: [round(float(mean[place].detach()), 4), round(float(deviation[place]), 4)]
                        for place, name in enumerate(sets[0]["names"]) if seen[place]}}


def curves(sets: Sequence[Arrays]) -> dict[str, Any]:
    """Return how early scores go with final ones, by fraction of training: ridge regression, a constant a set.

    A few short trainings tell it wrongly; then nothing is said, and a search takes early scores for what they are.
    """
    found: dict[str, Any] = {}
    if sum(len(one["y"]) for one in sets) < ENOUGH:
        return found
    for fraction in FRACTIONS:
        rows, targets = [], []
        for place, one in enumerate(sets):
            epochs = one["curves"].shape[1]
            good = ~np.isnan(one["curves"]).any(1)
            early, final = one["curves"][good][:, max(0, round(fraction * epochs) - 1)], one["curves"][good][:, -1]
            constants = np.zeros((good.sum(), len(sets)))
            constants[:, place] = 1
            rows.append(np.hstack([final[:, None], constants, one["x"][good]]))
            targets.append(early)
        x, y = np.vstack(rows), np.concatenate(targets)
        noise = 0.2 ** 2
        ridge = np.diag([1.0] + [1e-4] * len(sets) + [noise / GAIN_SD ** 2] * (x.shape[1] - 1 - len(sets)))
        weights = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        spread = float(np.std(y - x @ weights))
        gains = dict(zip(sets[0]["names"], weights[1 + len(sets):], strict=True))
        found[f"{fraction:.3f}"] = {
            "slope": round(float(weights[0]), 4), "sd": round(spread * 1.1, 4),
            "rise": round(float(np.mean(weights[1:1 + len(sets)])), 4),
            "gains": {name: round(float(gain), 4) for name, gain in gains.items() if abs(gain) > 0.005}}
    return found


def portfolio(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """Return bundles in the order in which each adds most to the best so far, in logits, in the mean over the sets.

    The start bundles are trained anyhow, so what counts is what comes on top of them. Where nothing adds more, the best
    of the others come next.
    """
    labels = [one.label for one in tables[0].bundles]
    scores = np.full((len(labels), len(tables)), np.nan)
    for column, table in enumerate(tables):
        for row, recorded in enumerate(table.bundles):
            values = [(run["accuracy"][-1] + run["test"]) / 2 for run in recorded.runs if run["test"] is not None]
            if values:
                scores[row, column] = np.mean(logit(np.array(values)))
    scores = np.where(np.isnan(scores), np.nanmin(scores, 0), scores)
    best = scores[[labels.index(label) for label in START if label in labels]].max(0)
    found: list[dict[str, Any]] = []
    left = [row for row, label in enumerate(labels) if label not in START]
    for _ in range(PORTFOLIO):
        row = max(left, key=lambda row: (float(np.maximum(scores[row] - best, 0).mean()), float(scores[row].mean())))
        left.remove(row)
        best = np.maximum(best, scores[row])
        document = tables[0].bundles[row].bundle.rescaled(EPOCHS).document()
        found.append(document)
        print(f"portfolio: {labels[row]}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Learn the prior of the search from TrickBench.")
    parser.add_argument("--tables", type=Path, default=HERE)
    parser.add_argument("--without", nargs="*", default=[], help="sets to leave out")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    names = sorted(path.name.removesuffix(".json.gz") for path in given.tables.glob("*.json.gz"))
    tables = [apart(read(name, given.tables), given.without) for name in names if name not in given.without]
    tricks = sorted({use.trick.name for table in tables for one in table.bundles for use in one.bundle.uses})
    sets = [arrays(table, tricks) for table in tables]
    prior = {"about": f"learned by benchmarks/trickbench/fit.py from {', '.join(table.name for table in tables)}",
             "steps": round(float(np.exp(np.mean([math.log(table.steps) for table in tables])))),
             **fitted(sets), "curves": curves(sets), "portfolio": portfolio(tables)}
    given.out.write_text(json.dumps(prior, indent=1) + "\n", encoding="utf-8")
    print(f"{given.out}: {len(prior['effects'])} columns, residual {prior['residual']}, length {prior['length']}, "
          f"noise {prior['noise']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Does what is known of a data set before training tell what a trick brings there?

    python benchmarks/trickbench/facts.py

For each fact: the error of predicting every trick's effect on a set from the other sets by their mean and a line over
the fact, divided by that of the mean alone; and the tricks whose effects go with it most, by correlation over the sets.
"""
from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402

from trickbench.fit import arrays  # noqa: E402
from trickbench.tables import Table, read  # noqa: E402

NOISE, SPREAD = 0.2, 0.35       # of a score, and of effects, in logits: for one set's own estimates
RIDGE = 10.0                    # of the line's slope, where a set counts 1
MOST = 4                        # tricks that are named
FACTS: dict[str, Callable[[Table], float]] = {
    "imbalance": lambda table: math.log(table.facts["imbalance"]),
    "classes": lambda table: math.log(table.facts["classes"]),
    "images": lambda table: math.log(table.facts["images"]),
    "images a class": lambda table: math.log(table.facts["images"] / table.facts["classes"]),
    "side": lambda table: math.log(table.facts["side"]),
    "channels": lambda table: table.facts["channels"],
    "steps": lambda table: math.log(table.epochs * table.facts["images"] / 64),
}


def effects(tables: list[Table]) -> tuple[tuple[str, ...], Any]:
    """Return the tricks, and what each brings on each set by that set's own trainings, [S, K]."""
    tricks = sorted({use.trick.name for table in tables for one in table.bundles for use in one.bundle.uses})
    found = []
    for table in tables:
        seen = arrays(table, tricks)
        rows = np.hstack([np.ones((len(seen["y"]), 1)), seen["x"]])
        ridge = np.diag([1e-4] + [NOISE ** 2 / SPREAD ** 2] * seen["x"].shape[1])
        found.append(np.linalg.solve(rows.T @ rows + ridge, rows.T @ seen["y"])[1:])
    columns = [seen["names"].index(trick) for trick in tricks]
    return tuple(tricks), np.array(found)[:, columns]


def error(provides: Any, fact: Any, ridge: float) -> float:
    """Return the mean squared error on each set of what the others say, with a line over a fact."""
    found = []
    for held in range(len(fact)):
        others = [place for place in range(len(fact)) if place != held]
        mean, middle = provides[others].mean(0), fact[others].mean()
        moved = fact[others] - middle
        slope = moved @ (provides[others] - mean) / (moved @ moved + ridge)
        found.append((provides[held] - mean - slope * (fact[held] - middle)) ** 2)
    return float(np.mean(found))


def main() -> int:
    tables = [read(path.name.removesuffix(".json.gz")) for path in sorted(HERE.glob("*.json.gz"))]
    tricks, provides = effects(tables)
    alone = error(provides, np.zeros(len(tables)), 1.0)
    for name, of in FACTS.items():
        fact = np.array([of(table) for table in tables])
        fact = (fact - fact.mean()) / fact.std()
        goes = [float(np.corrcoef(column, fact)[0, 1]) for column in provides.T]
        most = sorted(range(len(tricks)), key=lambda place: -abs(goes[place]))[:MOST]
        print(f"{name:15} {error(provides, fact, RIDGE) / alone:.2f}  "
              + ", ".join(f"{tricks[place]} {goes[place]:+.2f}" for place in most))
    return 0


if __name__ == "__main__":
    sys.exit(main())

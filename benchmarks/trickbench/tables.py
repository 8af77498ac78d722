"""Read TrickBench's tables.

from trickbench import tables
table = tables.read("gtsrb")
print(max((run["test"], bundle.label) for bundle in table.bundles for run in bundle.runs if run["test"]))
"""
from __future__ import annotations

import gzip
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autotricks.core.bundle import Bundle
from autotricks.tricks.catalog import bundle_from

HERE = Path(__file__).parent
BOXES = HERE / "boxes"      # tables of data in which objects are to be found


@dataclass(frozen=True)
class Recorded:
    """One bundle of a table.

    Args:
        label: How it was made.
        bundle: With seed 0.
        runs: One for each seed: `seed`; `accuracy` and `loss` on validation after each epoch; `test` (balanced
            accuracy) and `test_loss` after the last, None where training broke down; `end`; `spent` epochs; `seconds`.
    """

    label: str
    bundle: Bundle
    runs: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Table:
    """What was recorded on one data set.

    Args:
        name: Of the set.
        facts: Images, classes, channels, side, imbalance (largest class / smallest), validation and test images.
        epochs: Of a training.
        rows: As they stand in the file.
        model: That was trained.
        batch: Images in a step.
    """

    name: str
    facts: dict[str, float]
    epochs: int
    rows: tuple[dict[str, Any], ...]
    model: str = "resnet8"
    batch: int = 64

    @cached_property
    def bundles(self) -> tuple[Recorded, ...]:
        """Every bundle with its runs."""
        training = {"epochs": self.epochs, "batch_size": self.batch, "seed": 0}
        return tuple(Recorded(row["label"], bundle_from({"model": {"name": self.model}, "tricks": row["tricks"],
                                                         "training": training}), tuple(row["runs"]))
                     for row in self.rows)

    @property
    def steps(self) -> int:
        """Of a training."""
        return self.epochs * math.ceil(self.facts["images"] / self.batch)


def read(name: str, folder: Path = HERE) -> Table:
    """Return the table of a set."""
    with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        found = json.load(file)
    recipe = found["recipe"]
    kept = {key: recipe[key] for key in ("model", "batch") if key in recipe}     # older tables name neither
    return Table(name, found["facts"], recipe["epochs"], tuple(found["bundles"]), **kept)

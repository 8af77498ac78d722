"""Trainings of benchmark sets, each done once and kept: one line of JSON a training, so that whoever is killed goes on.

A line holds the set, the bundle, the validation figures of every epoch, and, for a training that came to its end, what
it does on test. No policy that is measured may look at test.
"""
from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import time  # noqa: E402
from dataclasses import replace  # noqa: E402

import torch  # noqa: E402

from autotricks.core.bundle import Bundle  # noqa: E402
from autotricks.core.dataset import Dataset  # noqa: E402
from autotricks.core.traits import DataTrait  # noqa: E402
from autotricks.trial import prepare  # noqa: E402

ACCURACY, LOSS = "val/balanced_accuracy", "val/loss"
PRECISION = "val/average_precision"      # what counts as accuracy where objects are to be found
Row = dict[str, Any]


class Running:
    """One training of a set that goes on epoch by epoch as far as somebody asks."""

    def __init__(self, bundle: Bundle, dataset: Dataset):
        torch.set_num_threads(1)
        self._dataset, self._started = dataset, time.process_time()
        self._counted = PRECISION if DataTrait.BOXES in dataset.task.brings else ACCURACY
        self._trainer = prepare(bundle, dataset.without_test())
        self._epochs = self._trainer.epochs()
        self.bundle = bundle
        self.accuracy: list[float] = []
        self.loss: list[float] = []

    def until(self, epochs: int) -> None:
        """Train up to so many epochs, or until the training breaks down."""
        while len(self.accuracy) < epochs and (metrics := next(self._epochs, None)) is not None:
            self.accuracy.append(metrics.values.get(self._counted, float("nan")))
            self.loss.append(metrics.values.get(LOSS, float("nan")))
        if len(self.accuracy) == self.bundle.epochs:
            next(self._epochs, None)    # the tricks leave their windows

    def row(self) -> Row:
        """Return what is kept."""
        end = self._trainer.end
        finished = end is not None and end.value == "finished"
        test: dict[str, float] = {}
        if finished:
            self._trainer.dataset = replace(self._dataset, validation=self._dataset.test)
            test = self._trainer.evaluate()
        return {"hash": self.bundle.hash, "seed": self.bundle.seed, "accuracy": _rounded(self.accuracy),
                "loss": _rounded(self.loss), "test": _number(test.get(self._counted)),
                "test_loss": _number(test.get(LOSS)),
                "end": end.value if end else None, "spent": round(self._trainer.spent, 3),
                "seconds": round(time.process_time() - self._started, 2)}


def _rounded(values: list[float]) -> list[float | None]:
    return [_number(value) for value in values]


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 5)


class Store:
    """Rows in a file that several processes may append to.

    Args:
        path: Of the file, in JSON lines.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known: dict[tuple[str, str], Row] = {}
        self._read = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def find(self, name: str, digest: str) -> Row | None:
        """Return the training of a bundle on a set, as far as it ever came."""
        self._refresh()
        return self._known.get((name, digest))

    def add(self, name: str, row: Row) -> Row:
        """Keep a training."""
        row = {"set": name, **row}
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write((json.dumps(row, separators=(",", ":")) + "\n").encode())
        return row

    def rows(self) -> Iterator[Row]:
        """Yield every row, the furthest of each training."""
        self._refresh()
        yield from self._known.values()

    def train(self, name: str, bundle: Bundle, dataset: Dataset) -> Row:
        """Return a whole training, done now or before."""
        known = self.find(name, bundle.hash)
        if known is not None and known["end"]:
            return known
        running = Running(bundle, dataset)
        running.until(bundle.epochs)
        return self.add(name, running.row())

    def _refresh(self) -> None:
        with self.path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[:content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            key = (row["set"], row["hash"])
            if key not in self._known or len(self._known[key]["accuracy"]) <= len(row["accuracy"]):
                self._known[key] = row

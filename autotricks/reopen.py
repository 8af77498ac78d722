"""Reopening a run: its space, its trials, and data that are still those it was searched on."""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .core.dataset import Dataset
from .core.objective import SPEED
from .data import Loaded, load as load_data
from .errors import InputError, RunError
from .resources import check_resources
from .search import folder as folders
from .search.ledger import TrialRecord, read, records
from .space.fitting import fitted
from .space.load import LoadedSpace, load_space
from .trainer.evaluate import names


@dataclass(frozen=True)
class Reopened:
    """A run that is held again: its space, its data, its trials, and how many trainings go on at a time."""

    loaded: LoadedSpace
    data: Loaded
    trials: list[TrialRecord]
    slots: int


@contextmanager
def reopened(folder: Path, overrides: Sequence[str], trust: bool) -> Iterator[Reopened]:
    """Hold a run's folder and make its engine ready to train again.

    Raises:
        RunError: When the folder holds no run, or its data changed.
    """
    loaded = load_space(folder / folders.SPACE, overrides, trust)
    slots = check_resources(loaded)
    loaded, data = with_data(loaded, trust)
    with folders.locked(folder):
        same(folder, data)
        if loaded.document.search.engine == "ray":
            from .search.cluster import connect

            connect()
        lines, _ = read(folder / folders.LEDGER)
        yield Reopened(loaded, data, records(lines), slots)


def with_data(loaded: LoadedSpace, trust: bool) -> tuple[LoadedSpace, Loaded]:
    """Load a space's data, see that they have the figure that the search is for, and fit the space to them."""
    data = load_data(loaded.document.data.settings(), trust)
    figures, metric = _figures(data.dataset), loaded.document.objective.metric
    if metric not in figures:
        raise InputError(loaded.tree.problem(("objective", "metric"), f"{metric} does not exist for this data: no "
                                             f"class has so many or so few images. It has {', '.join(figures)}."))
    return replace(loaded, space=fitted(loaded.space, data.dataset.traits)), data


def same(folder: Path, data: Loaded) -> None:
    """Refuse data that are not those of the run."""
    before = json.loads((folder / folders.DATA).read_text("utf-8"))["fingerprint"]
    if before != data.facts["fingerprint"]:
        raise RunError(f"{folder}: its data had the fingerprint {before[:12]}, the data now has "
                       f"{data.facts['fingerprint'][:12]}. Restore the data, or start a new search.")


def _figures(dataset: Dataset) -> list[str]:
    return ["train/loss", SPEED, *(f"val/{name}" for name in names(dataset.counts.float(), dataset.validation.labels))]

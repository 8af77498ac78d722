"""Reopening a run: its space, its trials, and data that are still those it was searched on."""
from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .core.dataset import Dataset
from .core.objective import SPEED
from .data import Loaded, load as load_data
from .errors import InputError, RunError
from .resources import check_resources, cores
from .search import folder as folders
from .search.ledger import TrialRecord, read, records
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
    slots, data = check_resources(loaded), data_of(loaded, trust)
    with folders.locked(folder):
        same(folder, data)
        if loaded.document.search.engine == "ray":
            from .search import ray_tune

            ray_tune.connect(None, cores())
        lines, _ = read(folder / folders.LEDGER)
        yield Reopened(loaded, data, records(lines), slots)


def data_of(loaded: LoadedSpace, trust: bool) -> Loaded:
    """Load a space's data and see that it has the figure that the search is for."""
    data = load_data(loaded.document.data.settings(), trust)
    figures, metric = _figures(data.dataset), loaded.document.objective.metric
    if metric not in figures:
        raise InputError(loaded.tree.problem(("objective", "metric"), f"{metric} does not exist for this data: no "
                                             f"class has so many or so few images. It has {', '.join(figures)}."))
    return data


def same(folder: Path, data: Loaded) -> None:
    """Refuse data that are not those of the run."""
    before = json.loads((folder / folders.DATA).read_text("utf-8"))["fingerprint"]
    if before != data.facts["fingerprint"]:
        raise RunError(f"{folder}: its data had the fingerprint {before[:12]}, the data now has "
                       f"{data.facts['fingerprint'][:12]}. Restore the data, or start a new search.")


def _figures(dataset: Dataset) -> list[str]:
    return ["train/loss", SPEED, *(f"val/{name}" for name in names(dataset.counts.float(), dataset.validation.labels))]

"""Reopening a run: its space, its trials, and data that are still those it was searched on."""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.dataset import Dataset
from ..core.weights import Weights
from ..data import Loaded, load as load_data
from ..errors import DataError, InputError, RunError
from ..export.bundle import text
from ..io.checksum import CHANGED, damaged, stamped
from ..io.files import write_atomic
from ..io.yaml_tree import Tree
from ..runs import folder as folders, versions
from ..runs.evidence import gather
from ..runs.ledger import Ledger, TrialRecord, read, searched
from ..space.data_fit import fitted
from ..space.load import LoadedSpace, load_space
from ..space.weights import require_fit, with_weights
from ..tuning.engines.engine import Engine
from ..tuning.engines.select import start_engine
from .resources import check_resources

MISSING = "missing"
# What a sitting may change: how much, how long and where is searched, not what.
MAY_CHANGE = ("space.search.trials", "space.search.trainings", "space.search.parallel", "space.search.engine",
              "space.search.patience", "versions.cores", "versions.gpus", "versions.system", "versions.mlflow")


@dataclass(frozen=True)
class Reopened:
    """A run that is held again: its space, data and trials, what trains, and how many trainings go on at a time."""

    loaded: LoadedSpace
    data: Loaded
    trials: list[TrialRecord]
    engine: Engine
    slots: int


@contextmanager
def reopened(folder: Path, overrides: Sequence[str], trust: bool, engine: Engine | None = None) -> Iterator[Reopened]:
    """Hold a run's folder and make its engine, unless another is given, ready to train again.

    Raises:
        RunError: When the folder holds no run, its ledger was cut off, or its data changed.
    """
    loaded = space_of(folder, overrides, trust)
    slots = check_resources(loaded)
    with or_moved():
        loaded, data = with_data(*with_weights(loaded), trust)
    with folders.locked(folder):
        same(folder, data)
        engine = engine or start_engine(loaded.document, trust=trust)
        yield Reopened(loaded, data, list(gather(folder).trials), engine, slots)


@contextmanager
def or_moved() -> Iterator[None]:
    """Add to what is wrong with a run's data how to say that they lie elsewhere now."""
    try:
        yield
    except DataError as error:
        raise DataError([*error.problems, "If the run's data lie elsewhere now, name them: --data SOURCE."]) from None


def relocate(folder: Path, source: str, trust: bool = False) -> str:
    """Write into a run's folder where its data lie now, once they are found to be the same; return a line about it.

    Args:
        folder: Of the run.
        source: Where the data lie now.
        trust: Whether a source of the form `my.module:function` may be imported.

    Raises:
        DataError: When there are none, or they cannot be read.
        RunError: When they are not those of the run.
    """
    before = space_of(folder, (), trust).document.data.source
    loaded = space_of(folder, [f"data.source={source}"], trust)
    data = load_data(loaded.document.data.settings(), trust)
    with folders.locked(folder):
        same(folder, data)
        ledger = Ledger(folder / folders.LEDGER)
        try:
            folders.write_json(folder / folders.DATA, data.facts)
            write_atomic(folder / folders.SPACE, stamped(text(loaded.resolved).encode()))
            if line := searched(ledger.lines):
                ledger.append("search", space=loaded.resolved, data=line["data"], versions=line["versions"])
        finally:
            ledger.close()
    return f"{folder}: its data were at {before} and are at {source}; their fingerprint is the same, so it goes on."


def space_of(folder: Path, overrides: Sequence[str] = (), trust: bool = False) -> LoadedSpace:
    """Return the space of a run, which must be as it was written; overrides are not written yet.

    Raises:
        SpaceError: When the file holds no space.
        RunError: When there is none, or it was changed, with a line for each value that the ledger has otherwise.
    """
    path = folder / folders.SPACE
    ledger = folder / folders.LEDGER
    if not path.exists():
        raise RunError(f"{folder}: holds no {folders.SPACE}; it is not the folder of a run.")
    if damaged(path.read_bytes()):
        before = searched(read(ledger)[0] if ledger.exists() else [])
        changes = differences(before["space"], load_space(path, (), trust).resolved, "space") if before else {}
        raise RunError([f"{path}: {CHANGED}", *_listed(changes)])
    return load_space(path, overrides, trust)


def with_data(loaded: LoadedSpace, weights: Mapping[str, Weights], trust: bool) -> tuple[LoadedSpace, Loaded]:
    """Load a space's data, see that they and its weights go with models and objective, and fit the space to them."""
    data = load_data(loaded.document.data.settings(), trust)
    data = replace(data, dataset=replace(data.dataset, weights=weights))
    require_fit(loaded, data.dataset, trust)
    data = replace(data, dataset=_judged(loaded, data.dataset))
    return replace(loaded, space=fitted(loaded.space, data.dataset.traits), images=len(data.dataset.train)), data


def _judged(loaded: LoadedSpace, dataset: Dataset) -> Dataset:
    """Return the data with a task that measures what the objective asks for.

    Raises:
        InputError: With a line for each metric that these data cannot have.
    """
    section = loaded.document.objective
    asked = {"objective.metric": section.metric,
             **({"objective.keep.metric": section.keep.metric} if section.keep else {})}
    wanted = {key: name.removeprefix("val/") for key, name in asked.items() if name.startswith("val/")}
    try:
        task = dataset.task.judged_by(wanted, section.costs, dataset.classes)
    except DataError as error:
        raise InputError([_placed(loaded.tree, line) for line in error.problems]) from None
    splits = {"validation": dataset.validation, **({"test": dataset.test} if dataset.test else {})}
    absent = dict[str, str]()
    for split, part in splits.items():
        names = task.meter(dataset.counts.float(), part.targets).names
        there = ", ".join(f"val/{name}" for name in names)
        absent |= {key: f"{key}: val/{name} does not exist for this data: no class has so many or so few images, or "
                        f"{split} has too few classes. It has {there}."
                   for key, name in wanted.items() if name not in names and key not in absent}
    if absent:
        raise InputError([_placed(loaded.tree, line) for line in absent.values()])
    return replace(dataset, task=task)


def _placed(tree: Tree, line: str) -> str:
    """Return a line that begins with a key as one that says where it stands."""
    key, _, text = line.partition(": ")
    return tree.problem(tuple(key.split(".")), text)


def same(folder: Path, data: Loaded) -> None:
    """Refuse data that are not those of the run."""
    before = folders.read_json(folder / folders.DATA, "fingerprint")
    if before["fingerprint"] != data.facts["fingerprint"]:
        sizes = [f"{split} had {sum(counts)} images, has {sum(data.facts['counts'][split])}"
                 for split, counts in before.get("counts", {}).items() if counts != data.facts["counts"].get(split)]
        raise RunError(f"{folder}: its data had the fingerprint {str(before['fingerprint'])[:12]}, the data now has "
                       f"{data.facts['fingerprint'][:12]}{''.join('; ' + size for size in sizes)}. Restore the data, "
                       "or start a new search.")


def settle(folder: Path, loaded: LoadedSpace, data: Loaded) -> Ledger:
    """Return a run's ledger, opened, after holding space, data and libraries against those of earlier sittings.

    Space, data facts and versions are then written into the folder, which is locked.

    Raises:
        RunError: When something differs that a resumed search may not change, with a line for each.
    """
    if (folder / folders.DATA).exists():
        same(folder, data)
    now = {"space": loaded.resolved, "data": {"fingerprint": data.facts["fingerprint"]},
           "versions": versions.versions()}
    ledger = Ledger(folder / folders.LEDGER)
    try:
        before = searched(ledger.lines)
        changes = differences({name: before[name] for name in now}, json.loads(json.dumps(now))) if before else {}
        refused = _listed({name: change for name, change in changes.items() if not name.startswith(MAY_CHANGE)})
        if refused:
            raise RunError([f"{folder}: what was searched differs from what is to go on. Restore it, or start a new "
                            f"search with --space {folder / folders.SPACE}:", *refused])
        folders.write_json(folder / folders.DATA, data.facts)
        versions.note(folder)
        write_atomic(folder / folders.SPACE, stamped(text(loaded.resolved).encode()))
        if changes or not before:
            ledger.append("search", **now)
    except BaseException:
        ledger.close()
        raise
    return ledger


def differences(before: Any, now: Any, name: str = "") -> dict[str, str]:
    """Return by its dotted name what differs between two documents of plain values."""
    if isinstance(before, dict) and isinstance(now, dict):
        changes: dict[str, str] = {}
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f"{name}.{key}" if name else key
            changes |= differences(before.get(key, MISSING), now.get(key, MISSING), inner)
        return changes
    return {} if before == now else {name: f"was {_short(before)}, is {_short(now)}"}


def _listed(changes: dict[str, str]) -> list[str]:
    return [f"  {name}: {change}" for name, change in changes.items()]


def _short(value: Any) -> str:
    line = value if value is MISSING else json.dumps(value)
    return line if len(line) <= 80 else f"{line[:77]}..."

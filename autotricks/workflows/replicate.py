"""Replicate: train published bundles and hold what comes out against what was published."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import stdev
from typing import Any

import torch

from ..core.bundle import Bundle
from ..data import Loaded, Settings, load as load_data
from ..errors import InputError, RunError
from ..io.did_you_mean import suggest
from ..io.files import made
from ..runs.ledger import Ledger
from ..space import load_bundle_file
from ..system.devices import check_device
from ..system.workers import children_ended
from ..trial import run_trial
from ..tuning.engines.worker_context import worker_context

SETTING = re.compile(r"[a-z0-9_]+_lt_(\d+)")


@dataclass(frozen=True)
class Replication:
    """What to train, and how.

    Args:
        folder: Published bundles, `*.yaml`.
        source: Data source; its training images become long-tailed as the setting says.
        setting: A column of the published figures, such as `cifar10_lt_100`: imbalance factor 100.
        only: Names of bundles; all that have a figure for the setting if empty.
        seeds: Trainings of each bundle, with seeds 0, 1, ...
        epochs: Length of a bundle published with 200 epochs; others keep their proportion. None: as published.
        model: In place of the published model; None: as published.
        device: Where to train.
        parallel: Trainings at a time; several have a process and one thread each.
        trust: Whether `my.module:function` may be imported.
    """

    folder: Path
    source: str
    setting: str
    only: tuple[str, ...] = ()
    seeds: int = 1
    epochs: int | None = None
    model: str | None = None
    device: str = "cpu"
    parallel: int = 1
    trust: bool = False


@dataclass
class Row:
    """One published bundle: test errors in percent, published and obtained.

    Args:
        best: Of the best epoch, for each seed: chosen on the test images, as the published figures were.
        last: Of the last epoch, for each seed: what a user would get.
    """

    name: str
    published: float
    epochs: int
    published_epochs: int
    best: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)

    @staticmethod
    def spread(errors: Sequence[float]) -> float:
        """Return the standard deviation over seeds; nan for less than two."""
        return stdev(errors) if len(errors) > 1 else float("nan")


def bundles(asked: Replication) -> dict[str, tuple[Bundle, float]]:
    """Return the bundles to train and their published figures, by name.

    Raises:
        InputError: When the folder, the setting or a name is not there.
    """
    files = sorted(asked.folder.glob("*.yaml"))
    if not files:
        raise InputError(f"{asked.folder}: holds no bundle files (*.yaml).")
    loaded = {path.stem: load_bundle_file(path) for path in files}
    known = sorted({key for file in loaded.values() for key in file.document.published if SETTING.fullmatch(key)})
    if asked.setting not in known:
        raise InputError(f"--setting {asked.setting}: no bundle has figures for it.{suggest(asked.setting, known)} "
                         f"Settings: {', '.join(known)}.")
    for name in asked.only:
        if name not in loaded:
            raise InputError(f"--only {name}: no such bundle in {asked.folder}.{suggest(name, loaded)}")
    return {name: (file.bundle, float(file.document.published[asked.setting])) for name, file in loaded.items()
            if asked.setting in file.document.published and (not asked.only or name in asked.only)}


def shortened(bundle: Bundle, asked: Replication, seed: int) -> Bundle:
    """Return the bundle as it is to be trained."""
    epochs = bundle.epochs if asked.epochs is None else max(1, round(bundle.epochs * asked.epochs / 200))
    return replace(bundle.rescaled(epochs), seed=seed, model=asked.model or bundle.model)


def replicate(asked: Replication, out: Path,
              on_progress: Callable[[str, dict[str, Any], int, int], None]) -> list[Row]:
    """Train every bundle with every seed and return a row for each bundle, in the order of the published figures.

    What was trained is written to `out` line by line; what stands there already is not trained again.

    Args:
        asked: What to train.
        out: File for the figures.
        on_progress: Hears the name and the figures of each training, and how many are done of how many.

    Raises:
        InputError: When folder, setting, names, data or device cannot be used.
        RunError: When `out` holds figures of other data.
    """
    check_device(asked.device)
    wanted = bundles(asked)
    facts = data(asked.source, asked.setting, asked.trust).facts
    rows = {name: Row(name, published, shortened(bundle, asked, 0).epochs, bundle.epochs)
            for name, (bundle, published) in wanted.items()}
    jobs = [(name, shortened(bundle, asked, seed)) for seed in range(asked.seeds)
            for name, (bundle, _) in wanted.items()]
    made(out.parent)
    ledger = Ledger(out)
    try:
        known = _known(ledger, facts["fingerprint"])
        for done, (name, bundle, record) in enumerate(_records(jobs, known, asked), start=1):
            if bundle.hash not in known:
                ledger.append("trained", name=name, hash=bundle.hash, fingerprint=facts["fingerprint"],
                              setting=asked.setting, bundle=bundle.document(), **record)
            rows[name].best.append(min(record["errors"]))
            rows[name].last.append(record["errors"][-1])
            on_progress(name, record, done, len(jobs))
    finally:
        ledger.close()
    return sorted(rows.values(), key=lambda row: row.published)


def _known(ledger: Ledger, fingerprint: str) -> dict[str, dict[str, Any]]:
    """Return the figures that stand in a ledger, by the hash of the bundle."""
    for line in ledger.lines:
        if line["fingerprint"] != fingerprint:
            raise RunError(f"{ledger.path}: holds figures of other data. Name another file with --out.")
    return {line["hash"]: line for line in ledger.lines}


def _records(jobs: Iterable[tuple[str, Bundle]], known: dict[str, dict[str, Any]],
             asked: Replication) -> Iterator[tuple[str, Bundle, dict[str, Any]]]:
    """Yield name, bundle and figures of each job as it is done."""
    missing = []
    for name, bundle in jobs:
        if bundle.hash in known:
            yield name, bundle, known[bundle.hash]
        else:
            missing.append((name, bundle))
    if asked.parallel == 1 or not missing:
        yield from ((name, bundle, _train(bundle, asked)) for name, bundle in missing)
        return
    size = min(asked.parallel, len(missing))
    context = worker_context()
    with ProcessPoolExecutor(size, context, torch.set_num_threads, (1,)) as pool, children_ended():
        waiting = {pool.submit(_train, bundle, asked): (name, bundle) for name, bundle in missing}
        for future in as_completed(waiting):
            yield *waiting[future], future.result()


@lru_cache(maxsize=1)
def data(source: str, setting: str, trust: bool = False) -> Loaded:
    """Return the data of a setting: all training images, made long-tailed, and test in place of validation."""
    match = SETTING.fullmatch(setting)
    return load_data(Settings(source, imbalance=float(match[1]) if match else None), trust, whole=True)


def _train(bundle: Bundle, asked: Replication) -> dict[str, Any]:
    """Train one bundle in a worker process; return its test error after each epoch, in percent."""
    dataset = data(asked.source, asked.setting, asked.trust).dataset
    result = run_trial(bundle, dataset, device=asked.device, trust=asked.trust)
    return {"errors": [100 * (1 - metrics.values["val/accuracy"]) for metrics in result.history],
            "end": result.end.value, "seconds": round(result.seconds, 1)}


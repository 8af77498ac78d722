"""Train: one bundle to the end, for production."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import export as bundles
from ..core.dataset import Dataset
from ..core.reporting import Reporter
from ..data import load as load_data
from ..errors import DataError, InputError
from ..io.files import ensure_folder
from ..runs.champion import bundle_document, fitted
from ..space.load import LoadedBundle
from ..space.sections import DataSection
from ..trial import TrialResult, with_weights
from ..tuning.engines.device_team import train_on


@dataclass(frozen=True)
class Production:
    """How a bundle is trained for production.

    Args:
        devices: Where to train; each of several takes a part of every batch.
        source: Data source, in place of the bundle's.
        all_data: Train on validation images too; the figures are then those of test.
        trust: Whether `my.module:function` may be imported.
    """

    devices: tuple[str, ...] = ("cpu",)
    source: str = ""
    all_data: bool = False
    trust: bool = False

    def measured(self, result: TrialResult) -> dict[str, Any]:
        """Return what a bundle file holds of a training: its figures, and on what they were measured."""
        if not self.all_data:
            return {"metrics": result.metrics}
        metrics = {name.replace("val/", "test/"): value for name, value in result.metrics.items()}
        return {"trained_on": "train and validation", "metrics": metrics}


def train(loaded: LoadedBundle, target: Path, reporter: Reporter | None = None,
          how: Production = Production()) -> TrialResult:
    """Train an exported bundle on the data that it names and write bundle and weights to a folder.

    Raises:
        InputError: When the bundle names no data, or the data, model, device or folder cannot be used.
        DiskError: When the disk is full or fails.
        RankError: When a process beside this one, which trained on another device, has ended.
    """
    if loaded.document.data is None and not how.source:
        raise InputError(f"{loaded.document.name}: names no data. Add a data section, or give --data SOURCE.")
    section = loaded.document.data or DataSection()
    section = section.model_copy(update={"source": how.source}) if how.source else section
    data = load_data(section.settings(), how.trust, joined=how.all_data)
    begun = loaded.document.weights
    dataset = with_weights(data.dataset, [loaded.bundle], begun.pin if begun else None)
    data = replace(data, dataset=_judged(dataset, loaded.document.result))
    ensure_folder(target)
    result = train_on(how.devices, loaded.bundle, data.dataset, reporter, how.trust)
    settings = section.model_dump(mode="json", exclude_none=True)
    weights = bundles.weights_of(result.model)
    document = bundle_document(loaded.document.name, settings, data, loaded.bundle, how.measured(result))
    if how.all_data:    # what validation there is are the test images; nothing is fitted on them
        document["result"] |= {"fitted": loaded.document.result["fitted"]} if "fitted" in loaded.document.result else {}
    else:
        document = fitted(document, weights, data.dataset)
    bundles.write(target, document, weights)
    return result


def _judged(dataset: Dataset, result: Mapping[str, Any]) -> Dataset:
    """Return the data with a task that measures what the search judged by, unless these have other classes."""
    name = str(result.get("metric", ""))
    asked = {"result.metric": name.removeprefix("val/")} if name.startswith("val/") else {}
    try:
        return replace(dataset, task=dataset.task.judged_by(asked, result.get("costs"), dataset.classes))
    except DataError:
        return dataset

"""What an exported training script calls: its data, and a trained bundle kept."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .. import export
from ..core.weights import DEFAULT, key
from ..data import Loaded, Settings, load
from ..errors import DataError
from ..io.files import ensure_folder
from ..models import Pin, load_weights
from ..runs.champion import bundle_document, fitted
from ..space.sections import DataSection
from ..trial import TrialResult, with_weights


def load_data(data: Mapping[str, Any] | Settings, trust: bool = False,
              weights: Mapping[str, Mapping[str, str]] | None = None) -> Loaded:
    """Load the images and labels that a data section names, split, and published weights that a model begins with.

    Args:
        data: The `data:` section of a space or bundle file, as a mapping; or its settings.
        trust: Whether a source of the form `my.module:function` may be imported.
        weights: The `weights:` section of a space file: by model, which published ones it must begin with.

    Raises:
        DataError: When the section says what is not allowed, or the source is missing, damaged or unusable.
        ModelError: When weights cannot be had, are damaged, or are not those.
    """
    begun = {key(model, DEFAULT): load_weights(model, DEFAULT, Pin(**pin)) for model, pin in (weights or {}).items()}
    loaded = load(data if isinstance(data, Settings) else _section(data).settings(), trust)
    return replace(loaded, dataset=replace(loaded.dataset, weights=begun))


def save_bundle(folder: Path | str, name: str, data: Mapping[str, Any], loaded: Loaded, result: TrialResult) -> None:
    """Write a trained bundle and its weights: `champion.yaml` and `champion.safetensors`.

    Args:
        folder: Where to write; made where it is not there.
        name: Of the bundle.
        data: The section that the data were loaded by.
        loaded: The data.
        result: What `run_trial` returned.

    Raises:
        DiskError: When the disk is full or fails.
    """
    settings = _section(data).model_dump(mode="json", exclude_none=True)
    loaded = replace(loaded, dataset=with_weights(loaded.dataset, [result.bundle]))
    document = bundle_document(name, settings, loaded, result.bundle, {"metrics": result.metrics})
    target = ensure_folder(Path(folder))
    weights = export.weights_of(result.model)
    export.write(target, fitted(document, weights, loaded.dataset), weights)


def _section(data: Mapping[str, Any]) -> DataSection:
    try:
        return DataSection.model_validate(data)
    except ValidationError as error:
        raise DataError(f"data.{'.'.join(map(str, line['loc']))}: {line['msg']}." for line in error.errors()) from None

"""What an exported training script calls: its data, and a trained bundle kept."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .. import export
from ..data import Loaded, Settings, load
from ..errors import DataError
from ..io.files import made
from ..runs.champion import bundle_document
from ..space.sections import DataSection
from ..trial import TrialResult, with_weights


def load_data(data: Mapping[str, Any] | Settings, trust: bool = False) -> Loaded:
    """Load the images and labels that a data section names, split.

    Args:
        data: The `data:` section of a space or bundle file, as a mapping; or its settings.
        trust: Whether a source of the form `my.module:function` may be imported.

    Raises:
        DataError: When the section says what is not allowed, or the source is missing, damaged or unusable.
    """
    if isinstance(data, Settings):
        return load(data, trust)
    return load(_section(data).settings(), trust)


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
    target = made(Path(folder))
    export.write(target, document, export.weights_of(result.model))


def _section(data: Mapping[str, Any]) -> DataSection:
    try:
        return DataSection.model_validate(data)
    except ValidationError as error:
        raise DataError(f"data.{'.'.join(map(str, line['loc']))}: {line['msg']}." for line in error.errors()) from None

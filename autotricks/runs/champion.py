"""The champion: what the best bundle's file holds, and keeping it in a run's folder."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load

from .. import export as bundles
from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.task import Measured
from ..core.weights import key
from ..data import Loaded
from ..errors import RunError
from ..inference.predictor import Predictor
from ..space.load import LoadedSpace
from ..trainer.evaluate import outputs
from .folder import find
from .trial import Champion


def bundle_document(name: str, settings: dict[str, Any], data: Loaded, bundle: Bundle,
                    result: dict[str, Any]) -> dict[str, Any]:
    """Return what a bundle file holds: all that production training and prediction need."""
    facts = data.facts
    images = data.dataset.normalized(bundle)
    begun = data.dataset.weights.get(key(bundle.model, bundle.weights))
    return {"name": name, "data": settings, "classes": facts["classes"],
            "images": {"shape": facts["image_shape"], "mean": list(images.mean), "std": list(images.std)},
            **bundle.document(), **({"weights": begun.facts()} if begun else {}),
            "result": {"fingerprint": facts["fingerprint"], **result}}


def fitted(document: Mapping[str, Any], weights: bytes, dataset: Dataset) -> dict[str, Any]:
    """Return a bundle's document with what its task fits on validation once the model is trained, if it fits anything.

    Code of the user's that makes the model may run, since it was trusted when the model was trained.

    Args:
        document: Of a bundle.
        weights: What was trained, as safetensors.
        dataset: Of which validation is read.
    """
    if not dataset.task.fits:
        return dict(document)
    predictor = Predictor(document, load(weights), trust=True)
    validation = Measured(outputs(predictor.logits, dataset.validation), dataset.validation.targets)
    found = dataset.task.fit(validation, len(dataset.classes))
    return {**document, "result": {**document["result"], "fitted": dict(found)}}


def keep(folder: Path, loaded: LoadedSpace, data: Loaded, champion: Champion,
         confirmed: dict[str, Any] | None = None) -> None:
    """Write a champion into the run's folder; `confirmed` is what fresh seeds said of it."""
    document = loaded.document
    settings = document.data.model_dump(mode="json", exclude_none=True)
    objective = document.objective
    result = {"trial": champion.trial.number, "score": champion.score, "metric": objective.metric,
              **({"costs": objective.costs} if objective.costs is not None else {}),
              "threads": max(1, int(document.resources.cpus)), "metrics": champion.metrics,
              **({"confirmed": confirmed} if confirmed else {})}
    content = bundle_document(document.name, settings, data, champion.trial.bundle, result)
    bundles.write(folder, fitted(content, champion.weights, data.dataset), champion.weights,
                  f"The best bundle of {folder.name}: trial {champion.trial.number}.\n"
                  f"Train it: autotricks train {bundles.BUNDLE}")


def locate(name: str, root: Path) -> Path:
    """Return the folder of a trained bundle and its weights.

    Args:
        name: A run's folder, its name or `latest`, whose champion is meant; or a folder such as `autotricks train`
            writes, or the bundle file in it.
        root: Folder of all runs.

    Raises:
        RunError: When there is none.
    """
    path = Path(name).expanduser()
    if path.name == bundles.BUNDLE:
        path = path.parent
    folder = path if (path / bundles.BUNDLE).exists() else find(name, root)
    if not (folder / bundles.BUNDLE).exists():
        raise RunError(f"{folder}: holds no {bundles.BUNDLE}; no trial of this search was trained to the end.")
    return folder

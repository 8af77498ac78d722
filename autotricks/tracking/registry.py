"""The registry: a champion as a version of a registered model, without pickle."""
from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import RunError
from .store import FILE, client, redacted

LOADER = "autotricks.predictor"


def register(client: Any, run_id: str | None, name: str, files: Sequence[Path], sizes: tuple[Sequence[int], int],
             tags: Mapping[str, str]) -> str:
    """Register bundle file and weights as a new version of the model `name`; return the version's number.

    The model is a `python_function` whose data are the bundle file and safetensors: MLflow loads it through
    `autotricks.predictor`, which takes uint8 images [N, H, W, D] and returns probabilities [N, C]; `sizes` are
    (D, H, W) and C.
    """
    known = client.search_model_versions(f"name='{name}' and run_id='{run_id}'")
    for version_ in known:
        if version_.tags.get("hash") == tags["hash"]:
            return str(version_.version)  # a resumed search with the same champion
    import mlflow
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    (depth, height, width), classes = sizes
    signature = ModelSignature(Schema([TensorSpec(np.dtype(np.uint8), (-1, height, width, depth), "images")]),
                               Schema([TensorSpec(np.dtype(np.float32), (-1, classes), "probabilities")]))
    with tempfile.TemporaryDirectory() as parent, mlflow.start_run(run_id=run_id):
        data = Path(parent) / "bundle"
        data.mkdir()
        for file in files:
            shutil.copy2(file, data)
        info = mlflow.pyfunc.log_model(
            name="champion", loader_module=LOADER, data_path=str(data), signature=signature,
            input_example=np.zeros((1, height, width, depth), np.uint8),
            pip_requirements=[f"autotricks=={version('autotricks')}"])
    with contextlib.suppress(mlflow.MlflowException):  # it is there already
        client.create_registered_model(name)
    model = client.create_model_version(name, info.model_uri, run_id, dict(tags), model_id=info.model_id)
    return str(model.version)


def fetch(uri: str, store: str) -> Path:
    """Return a folder with the bundle file and weights of a registered model, `models:/NAME@ALIAS`.

    Args:
        uri: The model.
        store: Address of the registry.

    Raises:
        RunError: When the registry has no such model or cannot be reached.
    """
    where = f"{uri}: the registry at {redacted(store)}"
    name_it = "Name another with --tracking or MLFLOW_TRACKING_URI."
    if store.startswith(FILE) and not Path(store.removeprefix(FILE)).exists():
        raise RunError(f"{where} does not exist. {name_it}")    # MLflow would make an empty one
    client(store)
    import mlflow

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri)) / "data" / "bundle"
    except (mlflow.MlflowException, OSError) as error:
        raise RunError(f"{where} does not give it: {str(error).splitlines()[0].rstrip('.')}. {name_it}") from None

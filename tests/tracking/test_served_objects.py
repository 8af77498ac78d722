"""A detector in MLflow's registry: its signature, loaded as any model is, and behind a really started server."""
import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from autotricks import export
from autotricks.inference.predictor import Predictor
from autotricks.tracking.model_registry import Entry, register
from autotricks.tracking.store import client, default_uri
from autotricks.workflows.predict import predict

from ..data.pictures import encoded
from ..tasks.scenes import coco, scene, trained_in
from .test_registry import tags
from .test_served import answers, ask, free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(stocked):
    return stocked("objects")


@pytest.fixture(scope="module")
def trained(place):
    """The folder of a detector that finds most rectangles."""
    folder, result = trained_in(place, coco(place / "data"), epochs=14, size=64, fit="pad")
    assert result.metrics["val/average_precision_50"] > 0.7
    return folder


@pytest.fixture(scope="module")
def registered(place, trained):
    """The address of the detector in a registry in the folder."""
    store = client(default_uri(place))
    columns = {"objects": list, "class": str, "probability": float}
    entry = Entry("objects", [trained / export.BUNDLE, trained / export.WEIGHTS],
                  Predictor.load(trained).shape, "# Objects", columns, tags([0.5], hash="x"))
    run = store.create_run(store.create_experiment("objects")).info.run_id
    number, _ = register(store, run, entry)
    return f"models:/objects/{number}"


@pytest.fixture(scope="module")
def pictures():
    """Pictures larger than the model's, wide and tall: bytes of files, and their sizes."""
    draw = np.random.RandomState(11)
    sizes = [(160, 120), (90, 150), (80, 60)]
    return [encoded(scene(draw, *size)[0]) for size in sizes], sizes


def test_is_loaded_as_any_model_with_its_signature(place, registered, pictures, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", default_uri(place))
    mlflow.set_tracking_uri(default_uri(place))
    model = mlflow.pyfunc.load_model(registered)
    outputs = {column["name"]: column for column in model.metadata.signature.outputs.to_dict()}
    assert list(outputs) == ["objects", "class", "probability"] and outputs["objects"]["type"] == "array"
    assert outputs["objects"]["items"]["properties"].keys() == {
        "class", "probability", "left", "top", "right", "bottom"}
    rows = model.predict({"images": pictures[0]})
    assert sum(map(len, rows["objects"])) >= 3


def test_served_over_http_it_says_what_predict_says(place, trained, registered, pictures, tmp_path):
    files, sizes = pictures
    for number, file in enumerate(files):
        (tmp_path / f"{number}.png").write_bytes(file)
    expected = predict(trained, tmp_path)
    port = free_port()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": default_uri(place), "OMP_NUM_THREADS": "1",
                   "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", registered, "--env-manager", "local",
               "-h", "127.0.0.1", "-p", str(port)]
    log = tmp_path / "served.log"
    with log.open("w") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        try:
            answers(process, f"http://127.0.0.1:{port}/ping", log)
            coded = [base64.b64encode(content).decode() for content in files]
            status, content = ask(f"http://127.0.0.1:{port}", {"inputs": coded})
        finally:
            process.terminate()
    assert status == 200, content
    for row, told, (width, height) in zip(content["predictions"], expected, sizes, strict=True):
        assert len(row["objects"]) == len(told["objects"])
        for one, other in zip(row["objects"], told["objects"], strict=True):
            assert one["class"] == other["class"]
            for name in ("probability", "left", "top", "right", "bottom"):
                assert one[name] == pytest.approx(other[name], abs=1e-3)
            assert 0 <= one["left"] < one["right"] <= width and 0 <= one["top"] < one["bottom"] <= height
    assert max(one["right"] for row in content["predictions"] for one in row["objects"]) > 64, json.dumps(content)

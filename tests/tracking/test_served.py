"""Slow: the champion behind a really started `mlflow models serve`, searches that compete, an ablation."""
import base64
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autotricks import cli
from autotricks.data import load as load_data
from autotricks.data.decode import decode
from autotricks.inference.predictor import Predictor
from autotricks.runs.ledger import read
from autotricks.space.load import load_space
from autotricks.tracking.store import client, default_uri
from autotricks.workflows.predict import predict
from autotricks.workflows.sync import sync

from .conftest import NAME, search

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(process, address, log):
    """Wait until a server that was started answers."""
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def address(confirmed):
    """The address of a server of the champion, started as a user would."""
    port, scripts = free_port(), Path(sys.executable).parent
    environment = {**os.environ, "MLFLOW_TRACKING_URI": default_uri(confirmed.folder.parent),
                   "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager",
               "local", "-h", "127.0.0.1", "-p", str(port)]
    log = confirmed.folder.parent / "served.log"
    with log.open("w") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        try:
            answers(process, f"http://127.0.0.1:{port}/ping", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def ask(address, body):
    """Return the answer to a request in JSON: its status and its content."""
    request = urllib.request.Request(f"{address}/invocations", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def encoded(pixels, kind, **options) -> tuple[bytes, str]:
    """Return an image as the bytes of a file and in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue(), base64.b64encode(buffer.getvalue()).decode()


def holds(answer, expected):
    """See that an answer's probabilities are the expected ones, and its classes the most probable."""
    status, content = answer
    assert status == 200, content
    rows = content["predictions"]
    assert [list(row["probabilities"]) for row in rows] == [list("0123456789")] * len(expected)
    np.testing.assert_allclose([list(row["probabilities"].values()) for row in rows], expected, rtol=0, atol=1e-6)
    assert [row["class"] for row in rows] == [str(place) for place in expected.argmax(1)]
    np.testing.assert_allclose([row["probability"] for row in rows], expected.max(1), rtol=0, atol=1e-6)


def test_served_over_http(address, confirmed):
    test = load_data(load_space("long_tail.yaml").document.data.settings()).dataset.test
    images = test.images.permute(0, 2, 3, 1).numpy()[:12]
    predictor = Predictor.load(confirmed.folder)
    expected = predictor.predict(images)
    assert len(set(expected.argmax(1))) > 1
    holds(ask(address, {"inputs": {"images": images.tolist()}}), expected)
    holds(ask(address, {"instances": images.tolist()}), expected)
    files = [encoded(pixels[..., 0], "PNG")[1] for pixels in images]
    holds(ask(address, {"dataframe_split": {"columns": ["images"], "data": [[file] for file in files]}}), expected)
    holds(ask(address, {"inputs": files}), expected)


def test_the_server_says_what_the_command_says(address, confirmed):
    """Three classes an image, of the same files; and in the words of the schema what `topk` may be."""
    pixels = np.random.RandomState(1).randint(0, 256, (4, 8, 8)).astype(np.uint8)
    files = [encoded(image, "PNG") for image in pixels]
    folder = confirmed.folder.parent / "files"
    folder.mkdir()
    for number, (content, _) in enumerate(files):
        (folder / f"{number}.png").write_bytes(content)
    body = {"dataframe_split": {"columns": ["images"], "data": [[text] for _, text in files]}}
    status, content = ask(address, {**body, "params": {"topk": 3}})
    assert status == 200
    said = [{name: row[name] for name in row if name != "probabilities"} for row in content["predictions"]]
    wanted = [{name: row[name] for name in row if name not in ("path", "error")}
              for row in predict(confirmed.folder, folder, topk=3)]
    assert list(said[0]) == list(wanted[0]) and len(said[0]) == 6
    for one, other in zip(said, wanted, strict=True):
        assert one == {name: value if isinstance(value, str) else pytest.approx(value, abs=1e-6)
                       for name, value in other.items()}
    status, content = ask(address, {**body, "params": {"topk": 0}})
    assert status == 400 and "topk: 0 is not allowed" in json.dumps(content)


def test_files_of_other_sizes_and_colors_are_prepared_as_the_data_were(address, confirmed):
    """Against what the data set's own decoder makes of the same files on disk."""
    noise = np.random.RandomState(0).randint(0, 256, (3, 37, 53, 3)).astype(np.uint8)
    files = [encoded(pixels, "JPEG", quality=90) for pixels in noise]
    folder = confirmed.folder.parent
    pixels = []
    for content, _ in files:
        (folder / "x.jpg").write_bytes(content)
        pixels.append(decode(folder / "x.jpg", 8, 1).transpose(1, 2, 0))
    expected = Predictor.load(confirmed.folder).predict(np.stack(pixels))
    holds(ask(address, {"dataframe_records": [{"images": text} for _, text in files]}), expected)


@pytest.mark.parametrize(("images", "said"), [
    (["!!!"], "images, row 0: a text that is not base64"),
    ([base64.b64encode(b"no picture").decode()], "images, row 0: cannot be read: not a JPEG"),
    (np.full((1, 8, 8, 1), 0.5).tolist(), "expected whole numbers from 0 to 255 of shape (8, 8, 1)"),
    (np.full((1, 8, 8, 1), 256).tolist(), "expected whole numbers from 0 to 255"),
    (np.zeros((1, 9, 8, 1), int).tolist(), "got int64 of shape (9, 8, 1)")])
def test_what_is_no_image_is_refused_with_a_reason(address, images, said):
    status, content = ask(address, {"inputs": {"images": images}})
    assert status == 400 and said in json.dumps(content)


@pytest.mark.timeout(400)
def test_three_searches_compete(stocked):
    """A search of one epoch, one of twelve, one of one again, and one of twelve on other data."""
    root = stocked("compete")

    def standing(epochs, *overrides):
        return search(root, confirm=True, overrides=[
            f"training.epochs={epochs}", "search.trials=2", f"search.rungs.first={epochs}", "confirm.top=1",
            "confirm.seeds=4", *overrides]).standing

    assert standing(1) == f"{NAME}/1 is the champion: there was none."
    better = standing(12)
    assert better.startswith(f"{NAME}/2 is the champion: better than the champion {NAME}/1 on the same test images: "
                             "val/balanced_accuracy +") and "paired, 4 seeds" in better and "\n" not in better
    worse = standing(1, "search.seed=1")
    assert worse.startswith(f"{NAME}/3 is a challenger: not shown to be better than the champion {NAME}/2")
    other = standing(12, "data.imbalance.factor=5")
    assert other.startswith(f"{NAME}/4 is a challenger: its data has the fingerprint ")
    store = client(default_uri(root))
    assert {name: str(number) for name, number in store.get_registered_model(NAME).aliases.items()} == {
        "champion": "2", "challenger": "4"}


@pytest.mark.timeout(400)
def test_ablation_joins_its_search(confirmed, stocked, monkeypatch, capsys):
    """Through the command line; its trainings hang below a run of their own, and a sync then adds nothing."""
    root = stocked("ablated")
    folder = root / confirmed.folder.name
    shutil.copytree(confirmed.folder, folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)    # MLflow sets it in whatever process it was used in
    monkeypatch.setattr("sys.argv", ["autotricks", "ablate", folder.name, "--root", str(root), "--seeds", "2"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0 and f"{NAME}/1 is the champion" in capsys.readouterr().err
    store = client(default_uri(root))
    runs = store.search_runs([store.get_experiment_by_name(NAME).experiment_id], max_results=1000)
    parent, = (run for run in runs if "key" not in run.data.tags)
    assert {item.path for item in store.list_artifacts(parent.info.run_id)} >= {"ablation.json", "report.html"}
    ablation, = (run for run in runs if run.data.tags.get("key") == "ablation")
    assert ablation.data.tags["mlflow.parentRunId"] == parent.info.run_id
    effects = [effect for effect in json.loads((folder / "ablation.json").read_text())["effects"]
               if effect["mean"] is not None]
    assert effects and all(ablation.data.metrics[f"{effect['kind']}/{effect['trick']}".replace(": ", "_")]
                           == effect["mean"] for effect in effects)
    below = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == ablation.info.run_id]
    names = {run.info.run_name.partition("  ")[0] for run in below}
    assert names == {f"{effect['kind']} {effect['trick']}" for effect in effects}
    lines = {line["hash"] for line in read(folder / "confirm.jsonl")[0]}
    assert {run.data.tags["hash"] for run in runs if "seed" in run.data.tags} == lines
    again = sync(folder)
    assert (again.runs, again.figures, again.files, again.problem) == (0, 0, 0, "")

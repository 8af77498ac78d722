"""Teachers and files that a space names: found from any folder, taken from a real registry, or refused in one line."""
import json

import pytest
import torch
from safetensors.torch import save_file

from autotricks.data import load as load_data
from autotricks.inference.predictor import Predictor
from autotricks.models import build
from autotricks.runs.ledger import read, records
from autotricks.space.load import load_bundle_file, load_space
from autotricks.tracking.model_registry import Entry, register
from autotricks.tracking.store import client, default_uri
from autotricks.trial import prepare
from autotricks.workflows import search as experiment
from autotricks.workflows.predict import predict

from ..data.pictures import noise, save
from ..search.scripted import in_threads
from .conftest import METRIC, NAME

CHAMPION = f"models:/{NAME}@champion"
SPACE = """
name: taught
data: {source: digits, imbalance: {factor: 50}}
training: {epochs: 2, batch_size: 64}
search: {trials: 2, engine: local, sampler: random, parallel: 1, rungs: {first: 2}}
tricks:
  sgd: {lr: {uniform: [0.05, 0.1]}}
"""


@pytest.fixture
def spaced(tmp_path, monkeypatch):
    """A working directory, and a way to write a space with some more tricks there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def written(tricks):
        (tmp_path / "taught.yaml").write_text(SPACE + tricks)
        return tmp_path
    return written


SEARCH = ("search", "--space", "taught.yaml", "--no-confirm")


@pytest.fixture(scope="module")
def store(tracked, stocked):
    """The address of a SQLite store in which the champion of a real search is registered, as if it were confirmed."""
    root = stocked("teachers")
    uri = default_uri(root)
    made = client(uri)
    run = made.create_run(made.create_experiment("made", (root / "artifacts").as_uri()))
    tags = {"hash": "h", "run": "r", "fingerprint": "f", "metric": METRIC, "mode": "max", "seeds": "[0]", "test": "[1]"}
    register(made, run.info.run_id, Entry(NAME, [tracked.folder / "champion.yaml",
                                                 tracked.folder / "champion.safetensors"], (1, 8, 8), "card",
                                           {"class": str, "probability": float}, tags))
    return uri


def student(trick, place):
    return f"  {trick}: {{always: true, teacher: '{place}', alpha: 1.0, start: 0.0}}\n"


def test_a_registered_bundle_teaches(spaced, store, tracked):
    folder = spaced(student("distillation", CHAMPION))
    options = experiment.Options(folder / "runs", tracking=store, confirm=False, engine=in_threads())
    run = experiment.search(load_space("taught.yaml"), options).folder
    own = run / "teachers" / f"{NAME}@champion"
    for name in ("champion.yaml", "champion.safetensors"):
        assert (own / name).read_bytes() == (tracked.folder / name).read_bytes()
    trials = records(read(run / "trials.jsonl")[0])
    assert [trial.end for trial in trials] == ["finished"] * 2
    assert {trial.bundle["tricks"]["distillation"]["teacher"] for trial in trials} == {str(own)}
    assert str(own) in (run / "space.yaml").read_text(), "a resumed search learns from the same copy"


def test_a_bundle_file_may_name_a_registered_teacher(spaced, store, tracked, monkeypatch):
    """Trained by itself, at the address in MLFLOW_TRACKING_URI: the teacher gives the champion's logits."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    folder = spaced("")
    (folder / "one.yaml").write_text(
        "name: one\ntraining: {epochs: 1}\ntricks:\n" + student("dive", CHAMPION).replace("always: true, ", ""))
    data = load_data(load_space("taught.yaml").document.data.settings()).dataset
    made = prepare(load_bundle_file("one.yaml").bundle, data)
    images = data.validation.images[:40]
    with torch.no_grad():
        taught = made.run.teacher(CHAMPION)(made.run.normalize(images)).softmax(1)
    alone = Predictor.load(tracked.folder).predict(images.permute(0, 2, 3, 1).numpy())
    assert torch.allclose(taught, torch.from_numpy(alone), atol=1e-5)


@pytest.mark.parametrize(("place", "said"), [
    (f"models:/{NAME}@nobody", "alias nobody not found. Name another"),
    ("models:/nothing@champion", "name=nothing not found. Name another"),
    ("runs/nowhere", "runs/nowhere/champion.yaml: cannot be read: No such file or directory.")])
def test_a_teacher_that_is_not_there_is_one_line_before_anything_trains(spaced, here, store, place, said):
    folder = spaced(student("distillation", place))
    code, _, line = here(*SEARCH, "--tracking", store)
    assert code == 2 and line.count("\n") == 1 and not list(folder.glob("runs/*"))
    assert line.startswith("taught.yaml:8:32  tricks.distillation.teacher: ") and said in line


def test_a_store_that_is_not_there_is_one_line_and_is_not_made(spaced, here):
    folder = spaced(student("distillation", CHAMPION))
    code, _, line = here(*SEARCH, "--tracking", "off")
    assert code == 2 and line.count("\n") == 1 and "mlflow.db does not exist. Name another with --tracking" in line
    assert not list(folder.rglob("mlflow.db"))


@pytest.mark.parametrize("trick", ["  pretrained: {always: true, weights: lost.pt}\n",
                                   "  group_head: {always: true, hierarchy: lost.pt}\n",
                                   "  pretrained: {weights: {choice: ['', lost.pt]}}\n"])
def test_a_file_that_is_not_there_is_one_line_before_anything_trains(spaced, here, trick):
    folder = spaced(trick)
    code, _, line = here(*SEARCH, "--tracking", "off")
    assert code == 2 and line.count("\n") == 1 and not list(folder.glob("runs/*"))
    assert f"{folder}/lost.pt: no such file. Paths are taken from the folder in which the command runs." in line


def test_a_teacher_of_a_bundle_is_looked_for_before_the_first_step(spaced, here):
    folder = spaced("")
    (folder / "one.yaml").write_text("name: one\ndata: {source: digits}\ntraining: {epochs: 90}\ntricks:\n"
                                     "  distillation: {teacher: runs/nowhere}\n")
    assert here("train", "one.yaml") == (
        2, "", f"{folder}/runs/nowhere/champion.yaml: cannot be read: No such file or directory.\n")


PLACES = """  distillation: {always: true, teacher: old/bundle, alpha: 0.5, start: 0.0}
  pretrained: {always: true, weights: old/weights.safetensors}
  group_head: {always: true, hierarchy: old/groups.csv}
"""


def placed(spaced, tracked):
    """Write a space whose three places are relative, and what they name."""
    folder = spaced(PLACES)
    (folder / "old").mkdir()
    (folder / "old" / "bundle").symlink_to(tracked.folder)
    save_file(build("resnet8", 10, 1).state_dict(), folder / "old" / "weights.safetensors")
    (folder / "old" / "groups.csv").write_text("class,group\n" + "".join(
        f"{name},{'low' if name < 5 else 'high'}\n" for name in range(10)))
    return folder


@pytest.mark.ray
@pytest.mark.slow
def test_ray_workers_find_them(spaced, here, tracked):
    """Ray's workers each have a folder of their own; for those of the local engine see tests/search/test_local.py."""
    folder = placed(spaced, tracked)
    assert here(*SEARCH, "--tracking", "off", "--set", "search.engine=ray", "--set", "search.trials=1")[0] == 0
    run, = folder.glob("runs/taught-*")
    assert [trial.end for trial in records(read(run / "trials.jsonl")[0])] == ["finished"]


def test_a_registered_bundle_predicts(spaced, store, tracked, here, monkeypatch):
    """By the address of the registry, from the command line: what the folder says of the same image."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    folder = spaced("")
    image = save(folder / "noise.png", noise(0, 8, 8))
    code, said, _ = here("predict", CHAMPION, "noise.png", "--topk", "2", "--json")
    row, = json.loads(said)["rows"]
    assert code == 0 and row == {**predict(tracked.folder, image, topk=2)[0], "path": "noise.png"}
    code, _, line = here("predict", f"models:/{NAME}@nobody", "noise.png")
    assert code == 2 and line.count("\n") == 1 and "alias nobody not found" in line

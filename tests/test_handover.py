import json
import runpy
import shutil
import subprocess
import sys
import zipfile
from functools import partial

import numpy as np
import pytest
import yaml

from autotricks import export
from autotricks.core.bundle import Bundle
from autotricks.core.slots import Slot
from autotricks.errors import AutotricksError, InputError, RunError
from autotricks.export.script import script
from autotricks.nn.fusing import Fusible
from autotricks.space.load import load_bundle_file
from autotricks.tricks.catalog import catalog, make
from autotricks.workflows import export as handover, train as production

from .conftest import make_dataset, timeless
from .report import made, test_card

ALONE = """
import sys, numpy
images = numpy.load("images.npy")
if sys.argv[1].endswith("onnx"):
    import onnxruntime
    found = onnxruntime.InferenceSession(sys.argv[1]).run(None, {"images": images})[0]
else:
    import torch
    found = torch.export.load(sys.argv[1]).module()(torch.from_numpy(images)).numpy()
numpy.save("found.npy", found)
print([name for name in sys.modules if name.startswith(("autotricks", "timm", "torchvision"))])
"""
# of ours with a prediction of its own and branches to fuse, of timm and of torchvision
GENTLE = {"sgd": {"lr": 0.005}}
MODELS = [("resnet8", {**GENTLE, "acnet": {}, "prior_removal": {"tau": 0.7}, "ema": {"decay": 0.5}}, 1),
          *(pytest.param(*each, marks=pytest.mark.slow) for each in (
              ("timm:resnet10t", {**GENTLE, "tau_normalization": {"tau": 0.5}}, 3),
              ("torchvision:shufflenet_v2_x0_5", GENTLE, 3)))]


def npz_in(folder, channels):
    """A data set in a file, gray or in color."""
    splits, arrays = make_dataset((24, 12, 6, 3), 16, channels), {}
    for name, split in (("train", splits.train), ("val", splits.validation), ("test", splits.test)):
        arrays |= {f"x_{name}": split.images.permute(0, 2, 3, 1).numpy(), f"y_{name}": split.targets.single.numpy()}
    np.savez(folder / "data.npz", **arrays)
    return f"npz:{folder / 'data.npz'}"


def trained_in(place, source, tricks, model="resnet8", epochs=2):
    """Train a bundle as `autotricks train` does; return its folder and what the training reported."""
    document = {"name": "made", "data": {"source": source}, "model": {"name": model}, "tricks": tricks,
                "training": {"epochs": epochs, "batch_size": 16, "seed": 5}}
    (place / "made.yaml").write_text(yaml.safe_dump(document))
    loaded = load_bundle_file(str(place / "made.yaml"))
    return place / "kept", production.train(loaded, place / "kept")


@pytest.fixture
def npz(tmp_path):
    return partial(npz_in, tmp_path)


@pytest.fixture
def trained(tmp_path):
    return partial(trained_in, tmp_path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The folder of a bundle with a prediction of its own, trained for an epoch, to which nothing may be written."""
    place = tmp_path_factory.mktemp("plain")
    return trained_in(place, npz_in(place, 1), {"prior_removal": {}}, epochs=1)[0]


@pytest.fixture(scope="module")
def written(plain, tmp_path_factory):
    """What is handed over of it as a graph of torch's, which takes a second to make; nothing may be written there."""
    place = tmp_path_factory.mktemp("graph")
    handover.export(str(plain), place, "pt2", place)
    return place


def test_script_repeats_the_training_bit_for_bit(trained, npz, tmp_path):
    tricks = {"sgd": {"lr": 0.05, "momentum": 0.85}, "mixup": {"alpha": 0.3, "stop": 0.5}, "cosine": {"final": 0.01},
              "class_balanced": {"start": 0.5}, "dropout": {"p": 0.2}, "distillation": {"start": 0.5}}
    folder, result = trained(npz(1), tricks)
    told = handover.export(str(folder), tmp_path, "script", tmp_path / "out")
    assert told == [str(tmp_path / "out" / "train.py"), f"Next: python {tmp_path / 'out' / 'train.py'}"]
    content = (tmp_path / "out" / "train.py").read_text()
    assert "Use(TRICK['mixup'](alpha=0.3), Window(0.0, 0.5))," in content and "lr=0.05, momentum=0.85" in content
    imports = [line.split()[1] for line in content.splitlines() if line.startswith(("import ", "from "))]
    assert imports == ["autotricks"], "nothing inside it, which may be renamed"
    ran = subprocess.run([sys.executable, "out/train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    repeated, first = (yaml.safe_load((place / export.BUNDLE).read_text()) for place in (tmp_path / "trained", folder))
    for document in (repeated, first):
        document["result"]["metrics"] = timeless(document["result"]["metrics"])
    assert repeated == first
    assert repeated["result"]["metrics"]["val/loss"] == result.metrics["val/loss"]
    assert (tmp_path / "trained" / export.WEIGHTS).read_bytes() == (folder / export.WEIGHTS).read_bytes()


def test_script_that_cannot_go_on_says_why_in_a_line(trained, npz, tmp_path, monkeypatch, capsys):
    """From its own folder, to which a relative path of the data does not lead."""
    folder, _ = trained(npz(1), {"sgd": {"lr": 0.05}})
    handover.export(str(folder), tmp_path, "script", tmp_path / "out")
    source = next(tmp_path.glob("*.npz"))
    source.rename(source.with_name("gone.npz"))
    monkeypatch.chdir(tmp_path / "out")
    with pytest.raises(SystemExit) as stop:
        runpy.run_path("train.py", run_name="__main__")
    said = stop.value.code if isinstance(stop.value.code, str) else capsys.readouterr().err
    assert stop.value.code and said.count("\n") <= 1 and source.name in said


def test_script_states_each_window_that_is_not_the_tricks_own():
    """Distillation opens at half unless told: the whole training must be written out, its own window need not be."""
    def line(values):
        content = script("x", Bundle((make("distillation", values),)), {"source": "digits"}, 1, False)
        return next(line.strip() for line in content.splitlines() if "Use(TRICK['distillation'](" in line)
    assert catalog()["distillation"].opens == 0.5
    assert line({}).endswith(")),") and line({"start": 0.5}) == line({})
    assert line({"start": 0.0}).endswith("), Window(0.0, 1.0)),")


@pytest.mark.parametrize(("model", "tricks", "channels"), MODELS)
@pytest.mark.parametrize("format_", ["onnx", "pt2"])
def test_graph_has_the_figures_of_the_training(trained, npz, tmp_path, format_, model, tricks, channels):
    """The file alone, without this package, predicts validation from its pixels as well as training said."""
    source = npz(channels)
    folder, result = trained(source, tricks, model)
    told = handover.export(str(folder), tmp_path, format_, tmp_path / "out")
    path = tmp_path / "out" / f"model.{format_}"
    assert told[0] == str(path) and float(told[2].split(": ")[1]) < 1e-5
    with np.load(source.removeprefix("npz:")) as archive:
        images, labels = archive["x_val"].transpose(0, 3, 1, 2), archive["y_val"]
    np.save(tmp_path / "images.npy", images)
    ran = subprocess.run([sys.executable, "-c", ALONE, str(path)], cwd=tmp_path, capture_output=True, text=True,
                         timeout=120, env={"PATH": "", "OMP_NUM_THREADS": "1"})
    assert ran.returncode == 0 and ran.stdout.strip() == "[]", ran.stderr
    found = np.load(tmp_path / "found.npy")
    assert found.shape == (40, 4) and found.dtype == np.float32
    loss = -np.log(found[np.arange(40), labels]).mean()
    assert loss == pytest.approx(result.metrics["val/loss"], rel=1e-4)
    assert (found.argmax(1) == labels).mean() == pytest.approx(result.metrics["val/accuracy"])
    written = json.loads((tmp_path / "out" / handover.PREPROCESSING).read_text())
    assert written["input"] == {"name": "images", "dtype": "uint8", "shape": ["N", channels, 16, 16],
                                "channels": "gray" if channels == 1 else "red, green, blue"}
    assert written["output"]["classes"] == ["0", "1", "2", "3"]
    assert written["inside the graph"]["mean"] == yaml.safe_load((folder / export.BUNDLE).read_text())["images"]["mean"]
    content = path.read_bytes()
    assert b"site-packages" not in content and str(tmp_path).encode() not in content and b"/autotricks/" not in content


def test_graph_holds_no_pickle(written):
    with zipfile.ZipFile(written / "model.pt2") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert len(members) > 20
    for name, content in members.items():
        tensor = "/weights/weight_" in name or "/constants/tensor_" in name
        assert tensor or name.endswith(".json") or len(content) < 50, name
        assert not content.startswith((b"PK", b"\x80\x02", b"\x80\x04")), name


def test_branches_are_fused_in_what_is_handed_over(trained, npz):
    from autotricks.inference.predictor import Predictor

    folder, _ = trained(npz(1), {"acnet": {}}, epochs=1)
    predictor = Predictor.load(folder)
    assert any(isinstance(module, Fusible) for module in predictor._model.modules())
    assert not any(isinstance(module, Fusible) for module in predictor.pixels().modules())


def test_graph_that_computes_something_else_is_removed(plain, tmp_path, monkeypatch):
    from autotricks.inference.predictor import Predictor

    predict = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, images: predict(self, 255 - images))
    with pytest.raises(AutotricksError, match=r"model\.pt2: its probabilities differ by .* at most 1e-04 is allowed"):
        handover.export(str(plain), tmp_path, "pt2", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_missing_library_is_one_line_that_mends_it(plain, tmp_path, monkeypatch):
    from autotricks.export import graph

    monkeypatch.setattr(graph, "find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(InputError, match=r"^--format onnx needs onnxruntime\. Install: pip .* 'autotricks\[export\]'$"):
        handover.export(str(plain), tmp_path, "onnx", tmp_path / "out")


@pytest.mark.parametrize("format_", handover.FORMATS)
def test_folder_without_a_champion_is_refused(tmp_path, format_):
    (tmp_path / "space.yaml").touch()
    with pytest.raises(RunError, match=r"holds no champion\.yaml"):
        handover.export(str(tmp_path), tmp_path, format_, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_", handover.FORMATS)
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_place_that_cannot_be_written_is_one_line(plain, tmp_path, format_, place):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=f"{place}: cannot be written: (file exists|not a directory)\\.") as caught:
        handover.export(str(plain), tmp_path, format_, tmp_path / place)
    assert len(caught.value.problems) == 1 and (tmp_path / "file").read_text() == "mine"


def test_training_is_refused_before_it_begins(trained, npz, tmp_path, monkeypatch):
    def never(*rest):
        raise AssertionError("trained for nothing")
    monkeypatch.setattr(production, "train_on", never)
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(RunError, match="kept: cannot be written: file exists"):
        trained(npz(1), {})
    assert (tmp_path / "kept").read_text() == "mine"


def test_graph_that_was_not_compared_to_the_end_leaves_what_was_there(plain, written, tmp_path, monkeypatch):
    from autotricks.export import graph

    shutil.copytree(written, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    seen = []

    def interrupted(program, path):
        path.write_bytes(b"whole, but nobody has compared it")
        seen.append(path.name)

        def run(images):
            raise error
        return run
    monkeypatch.setattr(graph, "write_pt2", interrupted)
    for error in (KeyboardInterrupt, OSError):
        with pytest.raises(error):
            handover.export(str(plain), tmp_path, "pt2", tmp_path / "out")
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before, error
    assert before.keys() == {"model.pt2", "preprocessing.json"} and seen == [".unchecked.pt2"] * 2


def run_folder(path):
    """A run whose champion has weights."""
    made.searched(path)
    export.write(path, test_card.champion(), b"\x08\0\0\0\0\0\0\0{}      ")
    return path


def test_a_run_is_handed_over_with_its_card(tmp_path):
    told = handover.export(str(run_folder(tmp_path / "run")), tmp_path, "bundle", tmp_path / "out")
    names = ["champion.yaml", "champion.safetensors", "MODEL_CARD.md"]
    assert told[:3] == [str(tmp_path / "out" / name) for name in names] and len(told) == 4
    assert "**Not confirmed.** Search score 0.7500" in (tmp_path / "out" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(("name", "content"), [("data.json", None), ("data.json", b'{"fingerprint": "f"}'),
                                               ("data.json", b"{"), ("trials.jsonl", None), ("trials.jsonl", b"")])
def test_a_run_without_what_its_card_says_is_refused(tmp_path, name, content):
    path = run_folder(tmp_path / "run") / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(RunError, match=name) as caught:
        handover.export(str(path.parent), tmp_path, "bundle", tmp_path / "out")
    assert len(caught.value.problems) == 1 and not (tmp_path / "out").exists()


TRICKS = [name for name, kind in catalog().items() if kind.seats.keys() & {Slot.MODEL, Slot.PREDICT}
          and name != "pretrained"]     # which needs a file, and whose weights are those of any other


@pytest.mark.slow
@pytest.mark.parametrize("name", TRICKS)
def test_every_trick_of_models_and_prediction_can_be_handed_over(trained, npz, tmp_path, name):
    needed = {"learnable_weight_scaling": {}} if name == "learnable_weight_scaling" else {}
    folder, _ = trained(npz(1), {name: {}, **needed}, epochs=1)
    for format_ in ("pt2", "onnx"):
        told = handover.export(str(folder), tmp_path, format_, tmp_path / "out")
        assert float(told[2].split(": ")[1]) < 1e-5

"""A detector handed over: graphs that say what torch says, and a script that trains it again."""
import base64
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from autotricks import export
from autotricks.export.graph import captured
from autotricks.export.pixels import Pixels
from autotricks.functional.suppression import with_suppression
from autotricks.inference.predictor import Predictor
from autotricks.inference.pyfunc import Served
from autotricks.models.dense import build_detector
from autotricks.tasks.detection.decode import apart, found
from autotricks.workflows import export as handover

from ..conftest import timeless
from ..data.pictures import encoded
from ..test_handover import ALONE
from .scenes import coco, scene, trained_in

SIZE = 64


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a detector that finds most rectangles, to which nothing may be written."""
    place = tmp_path_factory.mktemp("detector")
    folder, result = trained_in(place, coco(place / "data"), epochs=14, size=SIZE, fit="pad")
    assert result.metrics["val/average_precision_50"] > 0.7
    return folder


@pytest.fixture(scope="module")
def seen():
    """Two hundred pictures that it was not trained on, uint8 [N, D, H, W]."""
    draw = np.random.RandomState(7)
    return np.stack([scene(draw, SIZE, SIZE)[0].transpose(2, 0, 1) for _ in range(200)])


def agrees(found, expected):
    """Hold objects against those of torch; of hardly probable ones rounding may turn the order."""
    sure = expected[..., 4] > 0.01
    assert found.shape == expected.shape and (expected[..., 4] > 0.1).sum() >= len(expected)
    np.testing.assert_allclose(found[..., :4][sure], expected[..., :4][sure], rtol=0, atol=1e-3)
    np.testing.assert_allclose(found[..., 4], expected[..., 4], rtol=0, atol=1e-5)
    assert (found[..., 5] == expected[..., 5])[sure].all()


def test_a_graph_finds_what_torch_finds(trained, seen, tmp_path):
    told = handover.export(str(trained), tmp_path, "pt2", tmp_path / "out")
    assert float(told[2].split(": ")[1]) < 1e-5
    graph = torch.export.load(tmp_path / "out" / "model.pt2")
    assert len(graph.graph.nodes) < 500, "a hundred rounds of suppression are one operator"
    with torch.inference_mode():
        found = graph.module()(torch.from_numpy(seen)).numpy()
    agrees(found, Predictor.load(trained).predict(seen.transpose(0, 2, 3, 1)))
    written = json.loads((tmp_path / "out" / handover.PREPROCESSING).read_text())["output"]
    assert (written["name"], written["shape"], written["classes"]) == ("objects", ["N", 100, 6], ["red", "blue"])
    assert written["columns"] == ["left", "top", "right", "bottom", "probability", "class"]


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["pt2", "onnx"])
def test_the_file_alone_finds_it(trained, seen, tmp_path, format_):
    """Without this package, one image and all at once; and the file is small."""
    handover.export(str(trained), tmp_path, format_, tmp_path / "out")
    path = tmp_path / "out" / f"model.{format_}"
    assert path.stat().st_size < 2e6
    expected = Predictor.load(trained).predict(seen.transpose(0, 2, 3, 1))
    for count in (1, 200):
        np.save(tmp_path / "images.npy", seen[:count])
        ran = subprocess.run([sys.executable, "-c", ALONE, str(path)], cwd=tmp_path, capture_output=True, text=True,
                             timeout=300, env={"PATH": "", "OMP_NUM_THREADS": "1"})
        assert ran.returncode == 0 and ran.stdout.strip() == "[]", ran.stderr
        agrees(np.load(tmp_path / "found.npy"), expected[:count])


@pytest.mark.slow
@pytest.mark.parametrize("tricks", [
    {"soft_suppression": {}}, {"test_time_augmentation": {}}, {"soft_suppression": {"form": "linear"}},
    {"inference_resolution": {}}])
def test_a_graph_holds_whatever_predicts(tmp_path, seen, tricks):
    folder, _ = trained_in(tmp_path, coco(tmp_path / "data", count=24), size=SIZE, tricks=tricks)
    handover.export(str(folder), tmp_path, "pt2", tmp_path / "out")
    with torch.inference_mode():
        found = torch.export.load(tmp_path / "out" / "model.pt2").module()(torch.from_numpy(seen[:20])).numpy()
    assert apart(torch.from_numpy(found), torch.from_numpy(Predictor.load(folder).predict(
        seen[:20].transpose(0, 2, 3, 1)))) < 1e-5


@pytest.mark.slow
def test_the_script_repeats_the_training_from_an_empty_folder(tmp_path):
    folder, _ = trained_in(tmp_path, coco(tmp_path / "data", count=24), size=32)
    handover.export(str(folder), tmp_path, "script", tmp_path / "out")
    content = (tmp_path / "out" / "train.py").read_text()
    assert [line.split()[1] for line in content.splitlines() if line.startswith(("import ", "from "))] == ["autotricks"]
    empty = tmp_path / "empty"
    empty.mkdir()
    ran = subprocess.run([sys.executable, "../out/train.py"], cwd=empty, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    first, repeated = (yaml.safe_load((place / export.BUNDLE).read_text()) for place in (folder, empty / "trained"))
    for document in (first, repeated):
        document["result"]["metrics"] = timeless(document["result"]["metrics"])
    assert repeated == first
    assert (empty / "trained" / export.WEIGHTS).read_bytes() == (folder / export.WEIGHTS).read_bytes()


def objects(*rows):
    """Objects of one image, [1, 3, 6]; the rest is none."""
    return torch.tensor([[*rows, *[[0.0] * 6] * (3 - len(rows))]])


ONE, OTHER = [10.0, 10.0, 20.0, 40.0, 0.9, 0.0], [50.0, 20.0, 80.0, 60.0, 0.5, 1.0]


@pytest.mark.parametrize(("changed", "distance"), [
    (objects(ONE, OTHER), 0.0), (objects(OTHER, ONE), 0.0),                 # in another order
    (objects(ONE, [*OTHER[:4], 0.4, 1.0]), 0.1),                            # less probable
    (objects(ONE, [58.0, *OTHER[1:]]), 8 / 80),                             # elsewhere, of 80 pixels in all
    (objects(ONE), 0.5), (objects(OTHER), 0.9),                             # not found
    (objects(ONE, [*OTHER[:5], 0.0]), 0.5)])                                # of another class
def test_objects_lie_apart_by_the_one_that_differs_most(changed, distance):
    same = objects(ONE, OTHER)
    assert apart(same, changed) == pytest.approx(distance) and apart(changed, same) == pytest.approx(distance)


def test_of_a_hundred_images_one_may_differ_and_no_more():
    many = objects(ONE).repeat(200, 1, 1)
    changed = many.clone()
    changed[:2, 0, 4] = 0.2
    assert apart(many, changed) == 0
    changed[2, 0, 4] = 0.8
    assert apart(many, changed) == pytest.approx(0.1)
    assert apart(many[:1], changed[:1]) == pytest.approx(0.7)


def test_what_does_not_fit_into_a_full_list_counts_by_how_much_it_should():
    """Of two lists that have no room for more, either has another least probable object."""
    kept = objects(ONE, OTHER, [0.0, 0.0, 5.0, 5.0, 0.100, 0.0])
    other = objects(ONE, OTHER, [70.0, 70.0, 75.0, 75.0, 0.101, 0.0])
    assert apart(kept, other) == pytest.approx(0.001, abs=1e-6)


def shared(one, other):
    """The intersection of two boxes over their union."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = np.prod((high - low).clip(0))
    return common / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - common)


def right(said, truth):
    """How many of the objects [(class number, box)] of a picture are among those that are said of it."""
    return sum(any(one["class"] == ["red", "blue"][kind] and shared(
        np.array([one[edge] for edge in ("left", "top", "right", "bottom")]),
        np.array([left, top, left + wide, top + tall])) > 0.5 for one in said)
        for kind, (left, top, wide, tall) in truth)


def test_what_is_served_lies_in_the_pixels_of_the_image_that_was_sent(trained):
    """Images of other sizes than the model's, as bytes of files and in base64; and arrays of the model's size."""
    draw = np.random.RandomState(3)
    scenes = [scene(draw, width, height) for width, height in [(160, 120), (60, 90), (96, 96), (80, 60)] * 5]
    files = [encoded(canvas) for canvas, _ in scenes]
    served = Served(Predictor.load(trained))
    rows = served.predict({"images": files})
    assert list(rows.columns) == ["objects", "class", "probability"] and len(rows) == 20
    assert sum(right(said, truth) for said, (_, truth) in zip(rows["objects"], scenes, strict=True)) > 0.6 * 40
    coded = served.predict({"images": [base64.b64encode(file).decode() for file in files]})
    assert json.loads(coded.to_json(orient="records")) == json.loads(rows.to_json(orient="records"))
    for said, (canvas, _) in zip(rows["objects"], scenes, strict=True):
        edges = np.array([[one["left"], one["top"], one["right"], one["bottom"]] for one in said]).reshape(-1, 4)
        assert (edges >= 0).all() and (edges <= [*canvas.shape[1::-1]] * 2).all()
    array = scene(draw, SIZE, SIZE)[0]
    whole, = served.predict({"images": [array.tolist()]})["objects"]
    file, = served.predict({"images": [encoded(array)]})["objects"]
    assert whole == file


def test_memory_holds_what_was_decoded_and_no_more(trained):
    """Of each image a hundred objects of six figures, whatever the number of places."""
    predictor = Predictor.load(trained)
    images = np.zeros((600, SIZE, SIZE, 3), np.uint8)
    sizes = []
    predictor._task = SimpleNamespace(decode=lambda output: sizes.append(len(output)) or found(output))
    assert predictor.predict(images).nbytes == 600 * 100 * 6 * 4 and sizes == [256, 256, 88]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "convnext_atto", "mobilenetv3_large_100",
                                  "efficientnet_b0"])
def test_detectors_around_models_of_timm_are_exported(name, seen):
    """For images that no stride divides."""
    torch.manual_seed(0)
    model = build_detector(f"fcos:timm:{name}", 2, 3).eval()
    suppressed = with_suppression(model, lambda overlap: (overlap <= 0.6).to(overlap.dtype), 300)
    half = torch.full((3, 1, 1), 0.5)
    pixels = Pixels(model, suppressed, found, half, half).requires_grad_(False)
    images = torch.from_numpy(np.ascontiguousarray(seen[:3, :, :50, :61]))
    graph = captured(pixels, (3, 50, 61)).module()
    with torch.inference_mode():
        assert apart(graph(images), pixels(images)) < 1e-5

"""autotricks predict for a bundle that finds objects: tables, COCO results, pictures, all in pixels of the files."""
import contextlib
import io
import json
import os

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

import autotricks
from autotricks.data.drawing import Mark, color_of, marked
from autotricks.errors import InputError
from autotricks.export import BUNDLE
from autotricks.inference.predictor import Predictor
from autotricks.space.load import load_bundle_file
from autotricks.workflows import train as production
from autotricks.workflows.coco_results import Numbers, results
from autotricks.workflows.predict import Prediction, predict

from .data.pictures import save
from .data.rectangles import CLASSES, rectangles

EDGES = ("left", "top", "right", "bottom")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of scenes, the folder of a detector that was trained on them, and what the training measured."""
    place = tmp_path_factory.mktemp("objects")
    source = rectangles(place, {"train": 24, "val": 12, "test": 4})
    (place / "made.yaml").write_text(yaml.safe_dump({
        "name": "made", "data": {"source": source, "task": "detection"}, "model": {"name": "fcos:resnet8"},
        "tricks": {"adam": {"lr": 0.01}, "cosine": {}}, "training": {"epochs": 10, "batch_size": 8, "seed": 5}}))
    loaded = load_bundle_file(str(place / "made.yaml"))
    return place, place / "kept", production.train(loaded, place / "kept")


def boxes(row):
    return np.array([[one[edge] for edge in EDGES] for one in row["objects"]]).reshape(-1, 4)


def every(kept, files):
    """The rows of files with all objects, however improbable."""
    return [row for rows in Prediction(Predictor.load(kept), 1, 0.0).rows(files) for row in rows]


def of_split(place, split):
    return sorted((place / "images").glob(f"{split}_*.png"))


def average_precision(annotations, found):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        judged = COCOeval(truth, truth.loadRes(str(found)), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged.stats[0]


def test_coco_results_are_worth_what_the_training_measured(trained, here, tmp_path):
    """By COCO's own tool, from the files, with the numbers of the annotations."""
    place, kept, result = trained
    annotations = place / "annotations" / "instances_val.json"
    code, out, errors = here("predict", str(kept), *map(str, of_split(place, "val")), "--out",
                             str(tmp_path / "x.coco.json"), "--annotations", str(annotations))
    assert (code, errors) == (0, "") and "12 of 12 files" in out and "however improbable" in out
    expected = result.metrics["val/average_precision"]
    assert expected > 0.1, "or this says nothing"
    assert average_precision(annotations, tmp_path / "x.coco.json") == pytest.approx(expected, abs=2e-3)
    found = json.loads((tmp_path / "x.coco.json").read_text())
    assert {one["category_id"] for one in found} == {7, 14} and {one["image_id"] for one in found} == {*range(1, 13)}


def test_objects_lie_in_pixels_of_the_file(trained, tmp_path):
    """The same scene in the middle of a wide canvas, of which it is cropped, and turned by a quarter as EXIF says."""
    place, kept, _ = trained
    scene = Image.open(of_split(place, "val")[0])
    wide = Image.new("L", (52, 32))
    wide.paste(scene, (10, 0))
    wide.save(tmp_path / "wide.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    scene.resize((96, 96), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    plain, = predict(kept, of_split(place, "val")[0])
    shifted, turned, large = predict(kept, [tmp_path / "wide.png", tmp_path / "turned.png", tmp_path / "large.png"])
    assert len(plain["objects"]) >= 1
    moved = boxes(plain) + np.array([10, 0, 10, 0])
    for row in (shifted, turned):       # the very pixels that the model saw of the scene
        assert [(one["class"], one["probability"]) for one in row["objects"]] == [
            (one["class"], pytest.approx(one["probability"], rel=1e-4)) for one in plain["objects"]]
        assert boxes(row) == pytest.approx(moved, abs=2e-3)
    assert boxes(large)[0] == pytest.approx(3 * boxes(plain)[0], abs=1.5), "edges are blurred by half a pixel"


def test_the_likeliest_object_lies_on_the_rectangle(trained):
    """Of scenes that were trained on, most: where it is said to be, the file is bright."""
    place, kept, _ = trained
    rows = every(kept, of_split(place, "train"))
    shares = []
    for row in rows:
        picture = np.asarray(Image.open(row["path"])) > 0
        left, top, right, bottom = boxes(row)[0].round().astype(int)
        inside = picture[top:bottom, left:right].sum()
        shares.append(inside / (picture.sum() + (right - left) * (bottom - top) - inside))
        assert row["class"] == row["objects"][0]["class"] and row["probability"] == row["objects"][0]["probability"]
    assert np.median(shares) > 0.5


def test_objects_are_told_from_a_threshold_on(trained, here):
    """What was fitted on validation for the class; any that is given; for COCO none."""
    place, kept, _ = trained
    files = [str(path) for path in of_split(place, "test")]
    fitted = Predictor.load(kept).limits
    assert fitted == dict(zip(CLASSES, yaml.safe_load((kept / BUNDLE).read_text())["result"]["fitted"]["thresholds"],
                              strict=True)) and all(0 < limit < 1 for limit in fitted.values())
    told = {}
    for words in ((), ("--threshold", "0"), ("--threshold", "0.999")):
        _, out, _ = here("predict", str(kept), *files, "--json", *words)
        told[words] = [one for row in json.loads(out)["rows"] for one in row["objects"]]
    whole = told["--threshold", "0"]
    assert [one for one in whole if one["probability"] >= fitted[one["class"]]] == told[()] != []
    assert len(whole) > len(told[()]) and told["--threshold", "0.999"] == []
    row, = every(kept, [of_split(place, "test")[0]])
    nothing, = next(Prediction(Predictor.load(kept), 1, 0.999).rows([of_split(place, "test")[0]]))
    assert row["class"] in CLASSES and nothing["class"] is nothing["probability"] is nothing["error"] is None


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_tables_hold_objects(trained, here, tmp_path, suffix):
    place, kept, _ = trained
    files = [*of_split(place, "test"), tmp_path / "none.png"]
    code, _, errors = here("predict", str(kept), *map(str, files), "--out", str(tmp_path / f"x{suffix}"))
    assert (code, errors) == (0, f"{tmp_path}/none.png: no such file\n")
    read = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}[suffix](tmp_path / f"x{suffix}")
    assert list(read) == ["path", "objects", "class", "probability", "error"]
    expected = predict(kept, files)
    found = [json.loads(cell) if suffix == ".csv" else [*cell] for cell in read["objects"][:-1]]
    assert [boxes({"objects": row}).tolist() for row in found] == [boxes(row).tolist() for row in expected[:-1]]
    assert expected[-1]["objects"] is None and read["error"].tolist()[-1] == "no such file"


def test_pictures_show_what_was_found_where_it_was_found(trained, here, tmp_path):
    place, kept, _ = trained
    files = of_split(place, "test")
    code, out, errors = here("predict", str(kept), *map(str, files), str(tmp_path / "none.png"), "--out",
                             str(tmp_path / "x.json"), "--draw", str(tmp_path / "drawn"))
    assert code == 0 and out.splitlines()[-1] == f"{tmp_path / 'drawn'}: 4 pictures"
    drawn = sorted((tmp_path / "drawn").rglob("*.jpg"))
    assert [path.name for path in drawn] == [f"{path.name}.jpg" for path in files]
    rows = predict(kept, files)
    assert sum(bool(row["objects"]) for row in rows) >= 2, "or this says little"
    for path, row in zip(drawn, rows, strict=True):
        picture = np.asarray(Image.open(path), int)
        assert picture.shape == (512, 512, 3), "16 times as large as the file"
        if not row["objects"]:
            assert np.ptp(picture, 2).max() < 40, "no color"
            continue
        one = row["objects"][0]
        bottom, middle = round(16 * one["bottom"]) - 1, round(8 * (one["left"] + one["right"]))
        line = picture[max(0, bottom - 2):bottom + 2, middle]
        color = np.array(color_of(CLASSES.index(one["class"])))
        assert np.abs(line - color).max(1).min() < 90, "the lower edge has the color of the class, but for JPEG"
    again = autotricks.draw(predict(kept, files), tmp_path / "again", threshold=0.999)
    assert [path.name for path in again] == [path.name for path in drawn]
    plain = np.asarray(Image.open(again[0]), int)
    assert np.ptp(plain, 2).max() < 40, "nothing is that probable: no color"


def test_pictures_never_lie_among_the_files(trained, here, tmp_path):
    place, kept, _ = trained
    file = save(tmp_path / "photos" / "a.jpg", np.zeros((32, 32), np.uint8))
    before = file.read_bytes()
    code, out, errors = here("predict", str(kept), str(file), "--draw", str(tmp_path / "photos"))
    assert (code, file.read_bytes()) == (2, before) and "Name another folder" in errors and errors.count("\n") == 1
    assert os.listdir(tmp_path / "photos") == ["a.jpg"]


def test_what_the_bundle_does_not_do_is_one_line(trained, here, tmp_path):
    place, kept, _ = trained
    file = str(of_split(place, "test")[0])
    elsewhere = tmp_path / "other.json"
    elsewhere.write_text(json.dumps({"images": [{"id": 1, "file_name": "x.png"}],
                                     "categories": [{"id": 1, "name": "grey"}, {"id": 2, "name": "white"}]}))
    (tmp_path / "no.json").write_text("{}")
    out = ("--out", str(tmp_path / "x.coco.json"), "--annotations")
    for words, said in ((("--topk", "2"), ["--topk: ranks the classes"]),
                        (("--annotations", str(elsewhere)), ["that ends in .coco.json with --out"]),
                        ((*out, str(tmp_path / "nothing")), ["cannot be read: No such file"]),
                        ((*out, str(tmp_path / "no.json")), ["is no file of COCO annotations"]),
                        ((*out, str(elsewhere)), ["no category called 'gray'. Did you mean grey?", "no image called"])):
        code, printed, errors = here("predict", str(kept), file, *words)
        assert (code, printed, errors.count("\n")) == (2, "", len(said)), errors
        assert all(word in line for word, line in zip(said, errors.splitlines(), strict=True))


def test_images_are_numbered_by_their_names_or_in_order():
    assert Numbers.own(["a/000139.jpg", "b/7.png"], ["x"]).images == {"a/000139.jpg": 139, "b/7.png": 7}
    assert Numbers.own(["a/1.jpg", "b/01.png"], ["x"]).images == {"a/1.jpg": 1, "b/01.png": 2}
    named = Numbers.own(["q.jpg", "5.png"], ["x", "y"])
    assert named == Numbers({"q.jpg": 1, "5.png": 2}, {"x": 1, "y": 2})
    row = {"path": "5.png", "objects": [{"class": "y", "probability": 0.5, "left": 1.0, "top": 2.0, "right": 4.0,
                                         "bottom": 9.0}], "error": None}
    assert results([row, {"path": "q.jpg", "objects": None, "error": "no"}], named) == [
        {"image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 7], "score": 0.5}]


def test_numbers_of_annotations_are_found_by_folder_where_names_are_shared(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"categories": [{"id": 3, "name": "x"}], "images": [
        {"id": 11, "file_name": "left/1.jpg"}, {"id": 12, "file_name": "right/1.jpg"},
        {"id": 13, "file_name": "2.jpg"}]}))
    numbers = Numbers.of(path, ["/data/right/1.jpg", "/else/2.jpg"], ["x"])
    assert numbers == Numbers({"/data/right/1.jpg": 12, "/else/2.jpg": 13}, {"x": 3})
    with pytest.raises(InputError, match=r"no image called /data/1\.jpg, or several"):
        Numbers.of(path, ["/data/1.jpg"], ["x"])


def test_a_mark_is_drawn_on_the_pixels_of_its_box():
    """Of a small picture that is enlarged four times: the frame is a pixel wide, and the name stands above."""
    red = (255, 0, 0)
    drawn = np.asarray(marked(Image.new("L", (100, 60)), [Mark((10, 30, 50, 55), "a", red)], 400))
    assert drawn.shape == (240, 400, 3)
    frame = (drawn == red).all(2)
    assert frame[[120, 219], 40:200].all() and frame[120:220, [40, 199]].all()
    assert not frame[121:219, 41:199].any() and not frame[220:].any() and not frame[:, :40].any()
    assert frame[100:120].any(), "the name"

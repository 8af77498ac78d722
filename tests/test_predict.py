"""autotricks predict: files and folders to classes and probabilities, as the training itself evaluated them."""
import csv
import io
import json
import os
import random
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

import autotricks
from autotricks.core.images import CHUNK
from autotricks.errors import InputError, RunError
from autotricks.export import BUNDLE
from autotricks.inference.predictor import Predictor
from autotricks.inference.pyfunc import Served
from autotricks.space.load import load_bundle_file
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.workflows import predict as workflow, train as production
from autotricks.workflows.export import preprocessing
from autotricks.workflows.predict import Prediction, files_of, predict

from .conftest import make_dataset
from .data.pictures import bad_corpus, noise, save

CLASSES = ("a", "b", "c", "d")
ORIENTATION, QUARTER = 0x0112, 6      # look at it turned by a quarter, clockwise


def photographs(root):
    """Write images as people have them, in color and gray, wide and tall, some to be turned, into train, val and test.

    More of them are for validation than are evaluated at a time.
    """
    splits, generator = make_dataset((24, 12, 6, 3), 16, 3), random.Random(0)
    for name, split, times in (("train", splits.train, 1), ("val", splits.validation, 7), ("test", splits.test, 1)):
        for row, (pixels, label) in enumerate(zip(split.images, split.targets.single.tolist(), strict=True)):
            for copy in range(times):
                picture = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize(generator.choice(
                    [(21, 16), (16, 19), (16, 16)]))
                turned = generator.random() < 0.3
                exif = Image.Exif()
                exif[ORIENTATION] = QUARTER if turned else 1
                picture = picture.transpose(Image.Transpose.ROTATE_90) if turned else picture
                path = root / name / CLASSES[label] / f"{row:03d}_{copy}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                (picture.convert("L") if generator.random() < 0.2 else picture).save(path, exif=exif)
    return root


def trained_on(images, place, **data):
    """Train a bundle on a folder of images; return both, in folders, and what the training measured."""
    document = {"name": "made", "data": {"source": f"image_folder:{images}", **data}, "model": {"name": "resnet8"},
                "tricks": {"sgd": {"lr": 0.05}, "ema": {"decay": 0.5}},
                "training": {"epochs": 1, "batch_size": 16, "seed": 5}}
    (place / "made.yaml").write_text(yaml.safe_dump(document))
    loaded = load_bundle_file(str(place / "made.yaml"))
    return images, place / "kept", production.train(loaded, place / "kept")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of images, a bundle trained on it in a folder of its own, and what the training measured."""
    place = tmp_path_factory.mktemp("predict")
    return trained_on(photographs(place / "images"), place, size=12)


def of_class(row, name):
    """The probability that a row with all classes gives to one."""
    return next(row[key.replace("class", "probability")] for key, value in row.items()
                if key.startswith("class") and value == name)


def test_files_are_predicted_as_the_training_evaluated_them(trained):
    images, kept, result = trained
    rows = predict(kept, images / "val", topk=4)
    assert len(rows) == 7 * 40 > CHUNK and [row["error"] for row in rows] == [None] * len(rows)
    truth = [row["path"].split(os.sep)[-2] for row in rows]
    right = np.mean([row["class"] == name for row, name in zip(rows, truth, strict=True)])
    loss = -np.mean([np.log(of_class(row, name)) for row, name in zip(rows, truth, strict=True)])
    assert right == pytest.approx(result.metrics["val/accuracy"], abs=1e-6)
    assert loss == pytest.approx(result.metrics["val/loss"], rel=1e-6)
    assert len({row["class"] for row in rows}) > 1, "or these figures say nothing"


def test_probabilities_are_those_of_the_loaded_data_to_the_bit(trained):
    images, kept, _ = trained
    document = yaml.safe_load((kept / BUNDLE).read_text())
    pixels = autotricks.load_data(document["data"]).dataset.validation.images.permute(0, 2, 3, 1).numpy()
    expected = Predictor.load(kept).predict(pixels)
    rows = predict(kept, images / "val", topk=4)
    assert [[of_class(row, name) for name in CLASSES] for row in rows] == expected.tolist()


@pytest.mark.parametrize("data", [{"fit": "pad"}, {"fit": "squash", "channels": 1}])
def test_files_are_brought_to_size_and_color_as_the_data_were(trained, tmp_path, data):
    images, kept, result = trained_on(trained[0], tmp_path, size=12, **data)
    rows = predict(kept, images / "val", topk=4)
    loss = -np.mean([np.log(of_class(row, row["path"].split(os.sep)[-2])) for row in rows])
    assert loss == pytest.approx(result.metrics["val/loss"], rel=1e-6)
    assert loss != pytest.approx(trained[2].metrics["val/loss"], rel=1e-3), "it does something"


def test_rows_are_plain_and_public(trained):
    images, kept, _ = trained
    assert autotricks.predict is predict
    paths = sorted((images / "test" / "b").iterdir())
    heard = []
    rows = autotricks.predict(kept / BUNDLE, [str(paths[0]), images / "test" / "b"], topk=2,
                              on_progress=lambda *counts: heard.append(counts))
    assert [row["path"] for row in rows] == [str(path) for path in (paths[0], *paths)]
    assert heard == [(len(rows), len(rows))] and rows[0] == rows[1]
    assert list(rows[0]) == ["path", "class", "probability", "class_2", "probability_2", "error"]
    assert 1 >= rows[0]["probability"] >= rows[0]["probability_2"] >= 0
    assert autotricks.predict(kept, str(paths[0])) == [{key: value for key, value in rows[0].items()
                                                        if not key.endswith("_2")}]
    assert autotricks.predict(kept, []) == []


def test_classes_are_ranked_by_probability_and_then_as_the_data_number_them():
    said = CLASSIFICATION.answers(torch.tensor([[0.5, 0.125, 0.375], [0.25, 0.5, 0.25]]), ["x", "y", "z"], 2)
    assert said == [{"class": "x", "probability": 0.5, "class_2": "z", "probability_2": 0.375},
                    {"class": "y", "probability": 0.5, "class_2": "x", "probability_2": 0.25}]
    every, = CLASSIFICATION.answers(torch.tensor([[0.25, 0.75]]), ["x", "y"], 9)
    assert every == {"class": "y", "probability": 0.75, "class_2": "x", "probability_2": 0.25}


def test_files_that_cannot_be_read_are_rows_with_a_reason(trained, tmp_path):
    images, kept, _ = trained
    words = bad_corpus(tmp_path / "bad")
    good = sorted((images / "test" / "a").iterdir())[:2]
    rows = predict(kept, [good[0], tmp_path / "bad", tmp_path / "nothing.png", good[1]])
    alone = predict(kept, good)
    assert [rows[0], rows[-1]] == [{**row, "probability": pytest.approx(row["probability"], rel=1e-5)} for row in alone]
    bad = {os.path.basename(row["path"]): row for row in rows[1:-1]}
    assert set(bad) == {*words, "nothing.png"}
    assert all(word in bad[name]["error"] and bad[name]["class"] is bad[name]["probability"] is None
               for name, word in {**words, "nothing.png": "no such file"}.items())


def test_folders_are_taken_at_any_depth_without_what_systems_leave(tmp_path):
    for name in ("b/deep/deeper/1.png", "b/0.png", "a.png", ".hidden.png", ".git/x.png", "b/Thumbs.db"):
        save(tmp_path / name, noise(0, 4, 4, 3), format="PNG")
    (tmp_path / "b" / "back").symlink_to(tmp_path)
    for name in ("a.xml", "b/0.XML", "b/notes.txt"):
        (tmp_path / name).touch()
    paths, skipped = files_of([tmp_path, tmp_path / ".hidden.png"])
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "a.png", "b/0.png", "b/deep/deeper/1.png", ".hidden.png"], "a file is taken that is named"
    assert [(one.path, one.reason) for one in skipped] == [
        (f"{tmp_path}/b/back", "link to a folder that is in the data already"),
        (f"{tmp_path}/**/*.xml", "2 files: no images"), (f"{tmp_path}/**/*.txt", "1 files: no images")]
    assert files_of([tmp_path / "a.xml"]) == ([tmp_path / "a.xml"], []), "so that it gets a row that says why not"


def test_memory_holds_no_more_than_two_batches(trained, monkeypatch):
    images, kept, _ = trained
    monkeypatch.setattr(workflow, "CHUNK", 8)
    prediction = Prediction(Predictor.load(kept), 1)
    read, inner = [], prediction.predictor.preprocessing

    class Counting:
        back = staticmethod(inner.back)

        def picture(self, path):
            read.append(path)
            return inner.picture(path)

    prediction.predictor.preprocessing = Counting()
    paths, _ = files_of([images / "val"])
    rows = prediction.rows(paths)
    for batch in range(1, 4):
        assert [row["path"] for row in next(rows)] == [str(path) for path in paths[8 * batch - 8:8 * batch]]
        assert len(read) <= 8 * (batch + 1)
    rows.close()    # which waits for the batch ahead
    assert sorted(read) == paths[:8 * 4]


def test_what_is_served_says_what_is_predicted(trained):
    """The rows of MLflow's interface, from a file's bytes, against those of the command, from the file."""
    images, kept, _ = trained
    paths = sorted((images / "test").rglob("*.png"))[:5]
    served = Served(Predictor.load(kept))
    frame = pd.DataFrame({"images": [path.read_bytes() for path in paths]})
    said = served.predict(frame, {"topk": 3})
    expected = pd.DataFrame(predict(kept, paths, topk=3)).drop(columns=["path", "error"])
    pd.testing.assert_frame_equal(said.drop(columns="probabilities"), expected)
    assert list(said["probabilities"][0]) == list(CLASSES)
    assert all(max(row["probabilities"].values()) == row["probability"] for _, row in said.iterrows())
    assert list(served.predict(frame)) == ["class", "probability", "probabilities"]
    with pytest.raises(InputError, match="topk: 0 is not allowed"):
        served.predict(frame, {"topk": 0})
    assert list(served.predict(frame[:0], {"topk": 2})) == ["class", "probability", "class_2", "probability_2",
                                                            "probabilities"]


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_command_prints_a_table(trained, here, tmp_path):
    images, kept, _ = trained
    words = bad_corpus(tmp_path / "bad")
    code, out, errors = here("predict", str(kept), str(images / "test" / "a"), str(tmp_path / "bad"), "--topk", "2")
    rows, expected = table(out), predict(kept, [images / "test" / "a", tmp_path / "bad"], topk=2)
    assert code == 0 and out.splitlines()[0] == "path,class,probability,class_2,probability_2,error"
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert [row["error"] or None for row in rows] == [row["error"] for row in expected]
    good = [(said, row) for said, row in zip(rows, expected, strict=True) if row["error"] is None]
    assert len(good) == len(rows) - len(words)
    for said, row in good:
        assert [said["class"], said["class_2"]] == [row["class"], row["class_2"]]
        assert np.float32(said["probability"]) == np.float32(row["probability"]), "every digit of 32 bits"
    assert errors.splitlines() == [f"{row['path']}: {row['error']}" for row in expected if row["error"]]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet", ".CSV"])
def test_a_table_is_written_by_its_suffix(trained, here, tmp_path, suffix):
    images, kept, _ = trained
    paths = [images / "test" / "a", tmp_path / "none.png"]
    out = tmp_path / "new" / f"table{suffix}"
    code, said, errors = here("predict", str(kept), *map(str, paths), "--out", str(out))
    expected = predict(kept, paths)
    assert (code, errors) == (0, f"{tmp_path}/none.png: no such file\n")
    assert said == f"{out}: {len(expected) - 1} of {len(expected)} files\n"
    read = {".csv": lambda path: pd.read_csv(path), ".json": pd.read_json, ".parquet": pd.read_parquet}[suffix.lower()]
    found, wanted = read(out), pd.DataFrame(expected)
    assert list(found) == ["path", "class", "probability", "error"]
    assert found["class"].fillna("").tolist() == wanted["class"].fillna("").tolist()
    np.testing.assert_allclose(found["probability"], wanted["probability"].astype(float), rtol=1e-7)
    assert found["error"].tolist()[-1] == "no such file" and found["error"].isna().sum() == len(expected) - 1


def test_for_machines(trained, here):
    images, kept, _ = trained
    code, out, errors = here("predict", str(kept), str(images / "test" / "a"), "--json")
    found = json.loads(out)
    assert (code, errors) == (0, "") and found["files"] == found["predicted"] == len(found["rows"])
    assert found["rows"] == predict(kept, images / "test" / "a")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_of_files_comes_on_standard_input(trained, here, monkeypatch, end):
    images, kept, _ = trained
    paths = [os.fsencode(path) for path in sorted((images / "test" / "a").iterdir())[:3]]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(end.join([*paths, b""]))))
    code, out, _ = here("predict", str(kept), "-")
    assert code == 0 and [row["path"] for row in table(out)] == [os.fsdecode(path) for path in paths]


def test_a_name_neither_commands_a_terminal_nor_is_calculated(trained, here, tmp_path, monkeypatch):
    images, kept, _ = trained
    monkeypatch.chdir(tmp_path)
    content = next((images / "test" / "a").iterdir()).read_bytes()
    for name in ("=1+1.png", "\x1b[31mred.png"):
        (tmp_path / name).write_bytes(content)
    _, out, _ = here("predict", str(kept), "=1+1.png", "\x1b[31mred.png")
    assert [row["path"] for row in table(out)] == ["'=1+1.png", r"\x1b[31mred.png"]


def test_what_cannot_be_done_is_one_line(trained, here, tmp_path, monkeypatch):
    kept = trained[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.png").write_text("no picture")
    (tmp_path / "runs" / "made-1").mkdir(parents=True)
    (tmp_path / "runs" / "made-1" / "space.yaml").touch()
    for words, code, said in (
            ((kept, "one.png"), 1, "one.png: not a JPEG"), ((kept, "one.png", "two.png"), 1, "nor can 1 more be read"),
            ((kept, "empty"), 2, "empty: no images are there"),
            ((kept, "one.png", "--out", "x.doc"), 2, "must end in .csv, .json, .parquet"),
            (("nowhere", "one.png"), 2, "nowhere: no run lies there"),
            (("latest", "one.png"), 2, "runs/made-1: holds no champion.yaml"),
            ((kept, "one.png", "--device", "tpu"), 2, "--device 'tpu': not offered")):
        found, out, errors = here("predict", *map(str, words))
        assert found == code and said in errors and errors.count("\n") == 1, words
        assert code == 1 or not out, words
    with pytest.raises(InputError, match="topk: 0 is not allowed"):
        predict(kept, "one.png", topk=0)
    with pytest.raises(RunError, match="no run lies there"):
        predict("nowhere", "one.png")


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_files_are_brought_to_size_as_the_bundle_says(trained, tmp_path, fit):
    """The right quarter of a wide image is white: cut off, between bars, or squashed with the rest."""
    document = yaml.safe_load((trained[1] / BUNDLE).read_text())
    document["data"]["fit"] = fit
    made = Predictor(document, Predictor.load(trained[1])._model.state_dict())
    image = np.zeros((20, 40), np.uint8)
    image[:, 30:] = 255
    pixels = made.preprocessing.pixels(save(tmp_path / "wide.png", image))
    white = {"crop": 0, "pad": 3 * 6, "squash": 3 * 12}[fit]        # columns times rows of 12 x 12
    assert (pixels > 127).sum() == 3 * white
    assert Served(made).predict(pd.DataFrame({"images": [(tmp_path / "wide.png").read_bytes()]}))["probability"][
        0] == pytest.approx(made.predict(pixels.transpose(1, 2, 0)[None]).max(), abs=1e-6)
    assert preprocessing(made, {"size": 12})["from a file"]["resize"].startswith(
        {"crop": "the largest square", "pad": "the longer side", "squash": "the whole image"}[fit])


def test_a_model_that_is_not_square_takes_files_of_its_own_size_alone(trained, tmp_path):
    """Its data had no size, so that files of another one would have been refused."""
    kept = trained[1]
    document = yaml.safe_load((kept / BUNDLE).read_text())
    document["images"]["shape"] = [3, 12, 20]
    document["data"].pop("size")
    made = Predictor(document, Predictor.load(kept)._model.state_dict())
    save(tmp_path / "fits.png", noise(0, 12, 20, 3))
    save(tmp_path / "other.png", noise(0, 13, 20, 3))
    fits, other = Prediction(made, 1).rows([tmp_path / "fits.png", tmp_path / "other.png"]).__next__()
    assert fits["error"] is None and fits["class"] in CLASSES
    assert other["error"] == "20 x 13 pixels; the model takes 20 x 12 alone, which is not square"

"""autotricks data check, init and check on data with boxes: what is said of them, and the space that is proposed."""
import io
import json
import shlex
import tarfile

import numpy as np
import pytest
from PIL import Image

from autotricks.data import Settings, looked, survey, understood_as
from autotricks.data.contact_sheet import PICTURES, SIDE, chosen
from autotricks.data.drawing import GAP, TEXT, WIDE, color_of, sheet
from autotricks.data.objects import side
from autotricks.errors import DataError
from autotricks.space import object_proposal
from autotricks.space.load import load_data_section, load_space
from autotricks.space.proposal import Machine, propose

from .data.rectangles import CLASSES, rectangles

DETECTION = {"task": "detection"}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """56 scenes of 64 x 128 pixels, each with two rectangles of 16 to 40 pixels a side, a gray and a white one."""
    return rectangles(tmp_path_factory.mktemp("boxes"), {"train": 40, "val": 10, "test": 6}, (64, 128), 2, (16, 40))


@pytest.fixture(scope="module")
def facts(source):
    return json.loads(json.dumps(survey(Settings(source, **DETECTION))))


def written(source, split):
    """The boxes of the annotations: width and height."""
    path = source.removeprefix("coco:").partition(":/")[0].replace("{split}", split)
    return np.array([one["bbox"][2:] for one in json.load(open(path))["annotations"]], float)


def test_objects_are_those_of_the_annotations(source, facts):
    sizes = {split: written(source, word) for split, word in (("train", "train"), ("validation", "val"),
                                                              ("test", "test"))}
    whole = np.concatenate([*sizes.values()])
    found = facts["objects"]
    assert facts["usable"] and facts["counts"] == {"train": [40, 40], "validation": [10, 10], "test": [6, 6]}
    assert found["count"] == 112 and found["ignored"] == found["vanished"] == 0
    assert found["empty"] == {"train": 0, "validation": 0, "test": 0} and set(found["crowd"]) == {2}
    order = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]
    assert found["sides"] == pytest.approx(np.quantile(np.sqrt(whole.prod(1)), order), rel=1e-5)
    assert found["shapes"] == pytest.approx(np.quantile(whole[:, 0] / whole[:, 1], order), rel=1e-5)
    small = {split: int((np.sqrt(one.prod(1)) < 32).sum()) for split, one in sizes.items()}
    assert {split: one["small"] for split, one in found["sizes"].items()} == small
    assert found["smallest"] == pytest.approx(np.quantile(np.sqrt(whole.prod(1)) / 128, 0.05), rel=1e-5)


@pytest.mark.parametrize(("settings", "times", "vanished"), [
    ({"size": 64, "fit": "pad"}, (0.5, 0.5), 0), ({"size": 64, "fit": "squash"}, (0.5, 1), 0),
    ({"size": (32, 64), "fit": "crop"}, (0.5, 0.5), 0)])
def test_objects_are_as_large_as_the_model_sees_them(source, settings, times, vanished):
    found = survey(Settings(source, **DETECTION, **settings))["objects"]
    whole = np.concatenate([written(source, split) for split in ("train", "val", "test")]) * times
    assert found["sides"][3] == pytest.approx(np.median(np.sqrt(whole.prod(1))), rel=1e-5)
    assert (found["vanished"], found["fit"]) == (vanished, settings["fit"])


def test_what_is_cut_off_or_tiny_is_told(source):
    """A third as large, a rectangle of 16 to 40 pixels has 5 to 13: those below 24 are tiny."""
    found = survey(Settings(source, **DETECTION, size=(21, 43), fit="squash"))
    tiny = sum(sizes["tiny"] for sizes in found["objects"]["sizes"].values())
    whole = np.concatenate([written(source, split) for split in ("train", "val", "test")]) * [43 / 128, 21 / 64]
    assert tiny == (np.sqrt(whole.prod(1)) < 8).sum() > 6
    assert any(line.startswith(f"{tiny} of 112 objects have less than 8 x 8 pixels") for line in found["notices"])
    cropped = survey(Settings(source, **DETECTION, size=64, fit="crop"))
    assert cropped["objects"]["vanished"] > 0
    assert any(f"{cropped['objects']['vanished']} of 112 objects lie outside" in line for line in cropped["notices"])


def test_boxes_say_what_the_task_is(source, tmp_path):
    assert understood_as(Settings(source)).task == "detection"
    assert understood_as(Settings("digit_scenes")).task == "detection"
    assert understood_as(Settings("digits")) == Settings("digits")
    (tmp_path / "x.csv").write_text("path,label\na.png,1\n")
    for kind in (f"csv:{tmp_path}/x.csv", f"image_folder:{tmp_path}", f"npz:{tmp_path}/none.npz"):
        assert understood_as(Settings(kind)) == Settings(kind)


def test_the_command_says_it_and_draws(source, here, tmp_path):
    code, out, errors = here("data", "check", source, "--draw", str(tmp_path / "new" / "sheet.png"))
    assert (code, errors) == (0, "")
    assert "Training objects of each class, beside validation and test, imbalance (largest / smallest) 1:" in out
    assert f"  gray       40      10       6 {'#' * 50}\n" in out
    assert "Objects, as the model sees them, in images of their own size: 112\n" in out
    assert f"\nPictures, as the model sees them: {tmp_path}/new/sheet.png\n" in out
    search = ["autotricks", "search", "--space", "detection.yaml", "--data", source]
    assert out.endswith(f"Next: {shlex.join(['autotricks', 'init', source])}\nor:   {shlex.join(search)}\n")
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"), int)
    assert sheet.shape[1] > 4 * SIDE
    for label in range(len(CLASSES)):
        assert (sheet == color_of(label)).all(2).sum() > 1000, "frames of both classes"
    code, out, errors = here("data", "check", source, "--draw", str(tmp_path / "sheet.pdf"))
    assert (code, out) == (2, "") and errors.endswith("sheet.pdf: the name must end in .png, .jpg, .jpeg.\n")
    code, out, _ = here("data", "check", source, "--json")
    assert code == 0 and json.loads(out)["objects"]["count"] == 112


def test_a_box_is_drawn_where_the_object_is(source):
    """On the sheet's first picture the frame of a class lies around pixels of its shade."""
    from autotricks.data import contact_sheet

    settings = Settings(source, **DETECTION)
    seen = looked(settings)
    row = seen.rows[chosen([one.labels for one in seen.rows])[0]]
    colors = {name: color_of(number) for number, name in enumerate(seen.classes)}
    sheet = np.asarray(contact_sheet.contact_sheet(seen, settings), int)[6:6 + 192, 6:6 + 384]     # 3 times as large
    for name, (left, top, right, bottom) in zip(row.labels, (3 * row.objects.boxes).int().tolist(), strict=True):
        assert (sheet[bottom - 1, left:right] == colors[name]).all(), "the lower edge"
        inside = sheet[top + 20:bottom - 1, left + 1:right - 1]
        assert np.median(inside) == {"gray": 110, "white": 255}[name]


def test_rows_of_a_sheet_are_as_high_as_their_pictures():
    """Flat pictures leave no gaps below them, and the next row begins where the highest picture and its line end."""
    flat = [("", Image.new("RGB", (40, 10), "red"))] * WIDE
    pixels = np.asarray(sheet([*flat, ("", Image.new("RGB", (40, 20), "blue"))], 40), int)
    row = 10 + 2 * TEXT + GAP
    assert pixels.shape[:2] == (row + 20 + 2 * TEXT + GAP + GAP, WIDE * (40 + GAP) + GAP)
    assert (pixels[GAP:GAP + 10, GAP:GAP + 40] == (255, 0, 0)).all() and (pixels[GAP + 10] == 255).all()
    assert (pixels[GAP + row:GAP + row + 20, GAP:GAP + 40] == (0, 0, 255)).all()


def test_an_archive_is_no_table(tmp_path):
    path = tmp_path / "boxes.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"), io.BytesIO())
    path.write_bytes(path.read_bytes() + b"\x89")
    with pytest.raises(DataError, match=f"is an archive and no table. Write tar:{path}"):
        looked(Settings(f"csv:{path}", **DETECTION))


def test_each_class_is_shown_and_then_images_from_all_over():
    labels = [("a",)] * 50 + [("a", "rare")] + [("b",)] * 49
    rows = chosen(labels)
    assert len(rows) == PICTURES and rows == sorted(set(rows)) and 50 in rows and {0, 51} <= {*rows}
    assert max(np.diff(rows)) <= 6
    assert chosen([("a",), ()]) == [0, 1] and chosen([]) == []


@pytest.mark.parametrize(("share", "longer", "most", "expected"), [
    (0.05, 640, 256, 160), (0.01, 640, 256, 256), (0.5, 640, 256, 96), (0.05, 100, 256, 96), (0.0, 640, 256, 256)])
def test_a_side_shows_small_objects(share, longer, most, expected):
    """8 pixels of a share of .05 need 160; multiples of 32, no more than there is, at least 96."""
    assert side(share, longer, most) == expected


def proposed(facts, source, gpus=0, *overrides):
    return propose(facts, load_data_section(source, ["data.task=detection", *overrides]),
                   Machine(4, gpus, set().__contains__))


def test_a_space_for_objects_begins_with_a_detector(facts, source):
    made = proposed(facts, source)
    assert made.base == "detection.yaml"
    assert made.sections["data"] == {"source": source, "task": "detection", "size": [64, 128], "channels": 1}
    assert made.sections["model"] == {"name": "fcos:resnet8"}
    assert made.sections["training"] == {"epochs": 36, "batch_size": 16}
    assert made.sections["objective"] == {"metric": "val/average_precision"}
    assert "objects of the smallest" in made.reasons["objective"] and "taken as they are" in made.reasons["data"]
    large = {**facts, "sizes": {"median": [640, 480], "distinct": 1}, "objects": {**facts["objects"], "smallest": 0.05}}
    cpu, gpu = proposed(large, source), proposed(large, source, 1)
    assert cpu.sections["data"]["size"] == [128, 160] and gpu.sections["data"]["size"] == [256, 320]
    assert gpu.sections["model"] == {"name": "fcos:timm:resnet18"}
    mixed = proposed({**large, "sizes": {"median": [640, 480], "distinct": 7}}, source)
    assert (mixed.sections["data"]["size"], mixed.sections["data"]["fit"]) == (160, "pad")
    asked = proposed(large, source, 0, "data.size=64")
    assert asked.sections["data"]["size"] == 64 and "as you set it" in asked.reasons["data"]


@pytest.mark.parametrize(("count", "gpus", "size", "model", "epochs"), [
    (999, 0, 128, "fcos:resnet8", 36), (1000, 0, 128, "fcos:resnet20", 24), (9999, 1, 128, "fcos:resnet20", 24),
    (10_000, 1, 160, "fcos:timm:resnet18", 12)])
def test_a_detector_grows_with_the_data(count, gpus, size, model, epochs):
    assert object_proposal.detector(size, count, gpus)[0] == {"name": model}
    assert object_proposal.training(count)[0] == {"epochs": epochs, "batch_size": 16}


def test_what_is_written_is_checked_clean(source, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    code, out, errors = here("init", source, "--out", "boxes.yaml")
    assert (code, errors) == (0, ""), errors
    text = (tmp_path / "boxes.yaml").read_text()
    assert load_space("boxes.yaml").document.data.task == "detection" and "objects in train" in text
    code, out, errors = here("check", "boxes.yaml")
    assert (code, errors) == (0, "")
    assert "Not checked" not in out and "Likely to go wrong" not in out, "what is advised against is left out"
    code, out, _ = here("check", "boxes.yaml", "--set", "training.batch_size=8")
    assert code == 0 and "\nLikely to go wrong (searched all the same):\n  training.batch_size: 8 images are few" in out

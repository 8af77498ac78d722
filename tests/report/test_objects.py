"""The report of a search for objects: curves, kinds of error, confusion with the background, images with boxes."""
import base64
import io
import json
from dataclasses import asdict

import pytest
import torch
from PIL import Image

from autotricks.core.dataset import Split
from autotricks.core.targets import Targets
from autotricks.report import write
from autotricks.report.card import card
from autotricks.runs import pictures
from autotricks.stats import test_results as results
from autotricks.stats.test_results import Box, ClassResults, Mistakes, ObjectResult, Shown

from .made import EVIL, Page, confirmed, searched
from .test_card import champion

KINDS = ("class", "place", "both", "double", "background", "missed")
BOXES = (Box((1.0, 2.0, 5.0, 6.0), 0, 0.75, True), Box((2.0, 2.0, 7.0, 7.0), 1, 0.5, False),
         Box((0.0, 4.0, 3.0, 8.0), 0, None, False))


def result(first, second, counts=(6, 5, 4, 3, 2, 1)):
    """What one training finds: precision of the first class, and of the second at .5."""
    curves = {".5": [[first] * 101, [second] * 51 + [0.0] * 50], ".75": [[first] * 101, [float("nan")] * 101]}
    mistakes = {kind: Mistakes(count, count / 64) for kind, count in zip(KINDS, counts, strict=True)}
    by_class = {"average_precision": [first, second], "average_precision_small": [first, float("nan")]}
    return results.TestResult({}, by_class, [[30, 2, 8], [1, 15, 4], [12, 3, 0]], None, [0.25, 0.5],
                              ObjectResult(curves, mistakes))


@pytest.fixture
def run(tmp_path):
    """A run whose champion finds more than its baseline, with two test images; one is worst."""
    classes = {"1": ClassResults.of([result(0.75, 0.5), result(0.25, 0.5, (8, 5, 4, 3, 2, 1))]),
               "0": ClassResults.of([result(0.5, 0.25)])}
    plain = json.loads(json.dumps({number: asdict(one) for number, one in classes.items()}),
                       parse_constant=lambda word: None)
    judged = confirmed(classes=plain)
    made = searched(tmp_path / "made", confirm_json=judged, champion_yaml=champion(judged))
    images = torch.arange(3 * 64, dtype=torch.uint8).view(3, 1, 8, 8)
    targets = Targets.sets([[0]] * 3, [torch.ones(1, 4)] * 3)
    pictures.write(made, (Shown(0, BOXES), Shown(2, BOXES[:1], True)), Split(images, targets))
    return made


def detection(folder):
    """Let the run be one of detection."""
    ledger = folder / "trials.jsonl"
    ledger.write_text(ledger.read_text().replace('"objective"', '"data": {"task": "detection"}, "objective"'))
    space = folder / "space.yaml"
    space.write_text(space.read_text() + "data: {task: detection}\n")
    return folder


def page(folder):
    return Page(write(folder).read_text("utf-8"))


def test_curves_are_means_over_seeds_and_classes(run):
    """Champion at .5: (.75 + .25) / 2 of the first class and .5 of half the recalls of the second."""
    found = page(run)
    tips = {mark["data-tip"] for mark in found.marks("polyline", "line")}
    first, second = 0.5, 0.5 * 51 / 101
    assert f"champion, mean over classes: {(first + second) / 2:.1%}" in tips
    assert f"baseline, mean over classes: {(0.5 + 0.25 * 51 / 101) / 2:.1%}" in tips
    assert {f"cat: average precision {first:.1%}", f"{EVIL}: average precision {second:.1%}"} <= tips
    assert "champion, mean over classes: 50.0%" in tips, "at .75 the second class is unknown"
    assert "Boxes that overlap by at least .5" in found.text and "at least .75" in found.text


def test_kinds_of_error_with_what_they_cost(run):
    text = page(run).sections["What it finds"]
    assert "class the class is wrong, the place is right7.010.96.09.4" in text, "mean of 6 and 8; 7/64; 6 of the other"
    assert "missed no box on it, nor a misplaced or misnamed one1.01.61.01.6" in text


def test_confusion_has_the_background(run):
    found = page(run)
    text = found.sections["Class by class"]
    assert "background" in text
    tips = [mark["data-tip"] for mark in found.marks("td", "wrong")]
    assert f"cat taken for background: {3 * 8 - 8} (20%)" in tips, "of two seeds, each 8 of 40"
    assert f"background taken for {EVIL}: 6 (20%)" in tips
    assert "backgroundcat24–" in text, "the background is no class of which there is a share"
    assert "catbackground1620%" in text
    assert "66.7%" not in text.partition("Most")[0] and {60 / 86, 30 / 40} <= set(found.values), "precision by class"


def test_images_hold_their_pixels_and_boxes(run):
    found = page(run)
    drawn = [one for name, one in found.elements if name == "image"]
    assert len(drawn) == 2
    kind, _, content = drawn[1]["href"].partition(",")
    assert kind == "data:image/png;base64"
    pixels = Image.open(io.BytesIO(base64.b64decode(content)))
    assert pixels.mode == "L" and [*pixels.getdata()] == [value % 256 for value in range(128, 192)]
    tips = [one["data-tip"] for kind in ("missed", "wrong", "right") for one in found.marks("g", kind)]
    assert tips == ["cat, missed", f"{EVIL} 0.50, wrong", "cat 0.75, right", "cat 0.75, right"]
    rects = [one for name, one in found.elements if name == "rect"]
    assert [float(rects[0][key]) for key in ("x", "y", "width", "height")] == [0, 4, 3, 4]
    text = found.sections["What it finds"]
    assert "image 0: 1 right, 1 wrong, 1 missed" in text and "image 2: 1 right, 0 wrong, 0 missed" in text
    assert "1 of 60, evenly spaced" in text and "1 of 60, those of the others with most errors" in text
    assert "confirm: {pictures: false}" in text, "what the page holds of the user's images, it says"


def test_without_pictures_none_are_kept(run):
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    pictures.write(run, (), Split(images, Targets.sets([[0]], [torch.ones(1, 4)])))
    found = page(run)
    assert not (run / "pictures.json").exists() and not [one for name, one in found.elements if name == "image"]
    assert "Kinds of error" in found.text and "Test images and what" not in found.text


def test_damaged_pictures_are_said_and_left_out(run):
    (run / "pictures.json").write_text((run / "pictures.json").read_text().replace('"row": 0', '"row": 9'))
    found = page(run)
    assert "Damaged, and left out of this page: pictures.json" in found.text
    assert not [one for name, one in found.elements if name == "image"]


@pytest.mark.parametrize(("shape", "kind", "mode", "size"), [
    ((3, 20, 30), "png", "RGB", (30, 20)), ((1, 160, 100), "png", "L", (100, 160)), ((4, 10, 10), "png", "L", (10, 10)),
    ((3, 600, 1200), "jpeg", "RGB", (480, 240)), ((1, 200, 100), "jpeg", "L", (100, 200))])
def test_pictures_of_any_depth_and_size(shape, kind, mode, size):
    address = pictures.address(torch.full(shape, 77, dtype=torch.uint8))
    assert address.startswith(f"data:image/{kind};base64,")
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert (image.mode, image.size) == (mode, size) and abs(image.convert("L").getpixel((3, 3)) - 77) <= 1


def test_counts_are_of_objects(run):
    found = page(detection(run))
    assert "Training objects of each class" in found.sections["The data"]
    assert "60 (50 to 10 objects a class, imbalance 5)" in found.sections["The data"]
    assert "1 of 2 classes have fewer than 30 test objects" in found.text
    assert "Training objectsTest objects" in found.sections["Class by class"]


def test_the_card_of_a_detector(run):
    text = card(detection(run))
    assert text.partition("\n\n")[2].startswith("A detector of 2 classes, resnet8; trial 1 of 4")
    assert "| Class | Train objects | Validation objects | Test objects | Average precision on test |" in text
    assert "Most often taken for another class, or missed or made up on test, over all seeds: " in text
    assert "background for cat (24 times), " in text and "cat for background (20%)" in text

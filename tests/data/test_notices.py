"""What is told before anything is trained: what is cut off, what is nearly black, what a split lacks."""
import numpy as np
import pytest

from autotricks.data import Settings, foretold, glance, load, survey, understood
from autotricks.data.notices import Found, notices

from .pictures import folder, noise, save


def wide(root):
    """Six images twice as wide as high, of which the center square is half, and six squares."""
    folder(root, {"a": 6}, (8, 16, 3), seed=1)
    return f"image_folder:{folder(root, {'b': 6}, (8, 8, 3), seed=2)}"


CUT = "data.fit: crop cuts 25% off the images on average, by 12 of them; pad or squash keeps all of them"


@pytest.mark.parametrize(("fit", "said"), [("crop", [CUT]), ("pad", []), ("squash", [])])
def test_what_is_cut_off_is_told_by_search_data_check_and_check(tmp_path, fit, said):
    settings = Settings(wide(tmp_path), size=8, fit=fit)
    assert load(settings).facts["notices"] == survey(settings)["notices"] == foretold(settings) == said


def test_data_check_tells_it_of_the_size_that_it_offers(tmp_path):
    assert survey(Settings(wide(tmp_path)))["notices"] == [CUT]


def test_a_look_at_some_of_many_is_spread_over_all(tmp_path, monkeypatch):
    monkeypatch.setattr(glance, "MOST", 4)
    paths = [save(tmp_path / f"{row}.png", noise(row, 4, 4 if row < 6 else 16)) for row in range(12)]
    found = glance.glance(paths, Settings(size=4))
    assert (found.looked, found.cut) == (4, pytest.approx(0.375))       # 0, 3, 6, 9: two of them lose 3 / 4


def test_nearly_black_images_are_told_by_both(tmp_path):
    folder(tmp_path, {"a": 5, "b": 5}, (6, 6))
    save(tmp_path / "b" / "dim.png", np.full((6, 6), 4095, np.uint16))
    save(tmp_path / "b" / "deep.png", np.full((6, 6), 4096, np.uint16))
    settings = Settings(f"image_folder:{tmp_path}")
    assert load(settings).facts["notices"] == survey(settings)["notices"]
    assert load(settings).facts["notices"][0].startswith("nearly black: 1 of 12 images that were looked at use less")


def test_one_image_with_two_labels_is_told_by_both(tmp_path):
    folder(tmp_path, {"a": 5, "b": 5})
    save(tmp_path / "b" / "copy.png", noise(0, 6, 6, 3))
    settings = Settings(f"image_folder:{tmp_path}")
    assert load(settings).facts["notices"] == survey(settings)["notices"] == [
        "2 images bear, pixel for pixel, more than one label; at most one of them is right"]


def test_files_that_cannot_be_read_are_no_part_of_a_look(tmp_path):
    assert glance.glance([tmp_path / "nowhere.png"], Settings()) is None and glance.glance([], Settings()) is None
    assert foretold(Settings(f"image_folder:{tmp_path}/nowhere")) == [] == foretold(Settings())


def test_what_a_split_lacks_and_where_splits_come_from():
    found = Found(list("abcdefg"), {"train": [1] * 7, "validation": [1, 0, 1, 1, 1, 1, 1], "test": [1] + [0] * 6},
                  ("said",), ("g",))
    assert notices(found) == [
        "said", "too few images to be split, all of them in train: g; data.rare: drop leaves such classes out",
        "validation has no image of b; figures on validation are over the other classes",
        "test has no image of b, c, d, e, f; figures on test are over the other classes"]
    files = [{"path": str(number), "reason": "gone"} for number in range(4)]
    assert list(understood({"origin": {"train": "the source itself", "validation": "cut from train",
                                       "test": "cut from train"}, "bad": files, "skipped": [], "notices": ["x"]})) == [
        "splits: train from the source itself; validation and test cut from train",
        "left out, bad: 0 (gone); 1 (gone) and 2 more", "x"]

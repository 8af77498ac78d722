"""What `survey` says of folders made here, against what was put into them; training says the same."""
import json
import os
import threading

import numpy as np
import pytest

from autotricks.data import Settings, load, survey
from autotricks.data.sources import listing, read
from autotricks.errors import DataError

from .pictures import folder, noise, save


def refused(source, **settings):
    with pytest.raises(DataError) as caught:
        load(Settings(source, **settings))
    return list(caught.value.problems)


def looked(root):
    return json.loads(json.dumps(survey(Settings(f"image_folder:{root}"))))


def names(files):
    return {os.path.basename(file["path"]): file["reason"] for file in files}


def test_counts_sizes_and_forms(tmp_path):
    folder(tmp_path / "train", {"a": 6, "b": 3}, (6, 8, 3))
    folder(tmp_path / "test", {"a": 2, "b": 1}, (20, 10), seed=7)
    save(tmp_path / "train" / "b" / "wide.jpg", noise(5, 30, 60))
    found = looked(tmp_path)
    assert found["usable"] and found["problems"] == [] and found["classes"] == ["a", "b"]
    assert found["counts"] == {"train": [6, 4], "test": [2, 1]} and found["images"] == 13
    assert found["split_images"] == {"train": 10, "test": 3} and found["task"] == "classification"
    assert (found["imbalance"], found["per_class"]) == (1.5, 5)
    assert found["sizes"] == {"smallest": [8, 6], "median": [8, 6], "largest": [60, 30], "distinct": 3}
    assert (found["side"], found["size"]) == (6, 6)
    assert found["modes"] == {"RGB": 9, "L": 4} and found["formats"] == {"PNG": 12, "JPEG": 1}


def test_one_size_needs_no_resizing_and_others_the_largest_that_half_have(tmp_path):
    assert looked(folder(tmp_path / "one", {"a": 3, "b": 3}, (40, 40)))["size"] is None
    root = folder(tmp_path / "two", {"a": 3, "b": 3}, (100, 120, 3))
    save(root / "a" / "small.png", noise(0, 20, 20, 3))
    assert looked(root)["size"] == 96
    assert looked(folder(tmp_path / "large", {"a": 3, "b": 3}, (300, 400)))["size"] == 224


@pytest.mark.parametrize("share", [1, 2])
def test_more_than_one_file_in_a_hundred_that_is_bad(tmp_path, share):
    folder(tmp_path, {"a": 99, "b": 100 - share}, (3, 3))
    for row in range(1 + (share > 1)):
        (tmp_path / "a" / f"bad{row}.png").write_text("no picture")
    found = looked(tmp_path)
    assert len(found["bad"]) == share and found["bad"][0]["reason"].startswith("not a JPEG")
    if share == 1:  # 1 of 199 + 1
        assert found["usable"] and load(Settings(f"image_folder:{tmp_path}")).facts["bad"] == found["bad"]
    else:           # 2 of 197 + 2 = 1.005 %
        assert found["problems"] == refused(f"image_folder:{tmp_path}") and "1.01%" in found["problems"][0]


@pytest.mark.parametrize(("splits", "said"), [
    ({"train": {"a": 3, "b": 3, "c": 0}, "test": {"a": 1, "b": 1}}, None),
    ({"train": {"a": 3, "b": 3, "c": 0}, "test": {"a": 1, "c": 1}}, "test has 'c', which train has not"),
    ({"train": {"a": 3}}, "every training image is of class 'a'"),
    ({"train": {"a": 9, "b": 1}}, None),
    ({"train": {"a": 2, "b": 1}}, "too few images to split off test and validation in classes 'a' (2), 'b' (1)"),
    ({"train": {"a": 9, "b": 2}, "val": {"a": 1, "b": 1}}, None),
    ({"train": {"a": 3, "b": 3}, "test": {"a": 1}, "val": {"a": 1, "b": 1}}, None),
    ({"train": {"a": 3, "b": 3}, "test": {"a": 1, "b": 1, "z": 1}}, "test has 'z', which train has not")])
def test_what_is_wrong_with_the_classes_is_said_as_training_says_it(tmp_path, splits, said):
    for number, (split, counts) in enumerate(splits.items()):
        folder(tmp_path / split, counts, seed=number)
        for name in counts:
            (tmp_path / split / name).mkdir(exist_ok=True)
    found = looked(tmp_path)
    assert found["usable"] == (said is None)
    if said:
        assert said in found["problems"][0] and refused(f"image_folder:{tmp_path}")[0] == found["problems"][0]
    else:
        assert load(Settings(f"image_folder:{tmp_path}")).facts["notices"] == found["notices"]


def test_what_lies_about_is_skipped_and_said(tmp_path):
    root = folder(tmp_path, {"a": 3, "b": 3})
    for clutter in (".DS_Store", "a/.DS_Store", "a/Thumbs.db", "a/ehthumbs.db", "b/desktop.ini", "__MACOSX/a/x.png",
                    "a/@eaDir/x.png", "a/.hidden/x.png"):
        (root / clutter).parent.mkdir(parents=True, exist_ok=True)
        (root / clutter).write_text("clutter")
    (root / "labels.csv").write_text("a,b")
    save(root / "loose.png", noise(9, 6, 6, 3))
    found = looked(root)
    assert found["images"] == 6 and found["bad"] == [] and found["classes"] == ["a", "b"]
    assert names(found["skipped"]) == dict.fromkeys(["labels.csv", "loose.png"], "lies in no folder of a class")
    assert load(Settings(f"image_folder:{root}")).facts["skipped"] == found["skipped"]


def test_links_are_followed_once_and_not_back_into_the_data(tmp_path):
    root, far = folder(tmp_path / "data", {"a": 2, "b": 2}), tmp_path / "far"
    folder(far, {"more": 1, "deep": 1}, seed=5)
    (root / "a" / "more").symlink_to(far / "more")                 # followed
    (far / "more" / "back").symlink_to(far / "more")               # a loop out there
    (root / "a" / "here").symlink_to(".")                          # a loop
    (root / "a" / "up").symlink_to(root)                           # would make everything an a
    (root / "a" / "around").symlink_to(tmp_path)
    (root / "b" / "self.png").symlink_to(root / "b" / "self.png")  # a link to itself
    (root / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    (root / "c").symlink_to(far / "deep")                          # a class may lie elsewhere
    found = looked(root)
    assert found["counts"] == {"train": [3, 2, 1]}
    assert names(found["skipped"]) == dict.fromkeys(["back", "here", "up", "around"],
                                                    "link to a folder that is in the data already")
    assert names(found["bad"]) == {"self.png": "cannot be read: Too many levels of symbolic links",
                                   "gone.png": "no such file"}
    assert len(read(Settings(f"image_folder:{root}", max_bad=0.5)).parts["train"].labels) == 6


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(folder(tmp_path, {"a": 3, "b": 3}) / "a" / "pipe.png")
    (tmp_path / "b" / "000.png").rename(tmp_path / "b" / "ok.png")
    found = []
    thread = threading.Thread(target=lambda: found.append(looked(tmp_path)), daemon=True)
    thread.start()
    thread.join(20)
    assert found and names(found[0]["bad"]) == {"pipe.png": "not a regular file"}


def test_a_folder_that_cannot_be_listed_is_no_empty_one(tmp_path, monkeypatch):
    closed = folder(tmp_path, {"a": 2, "b": 2}) / "a" / "closed"
    closed.mkdir()
    whole = os.scandir

    def scandir(place):  # a mode of 0 does not stop root, who may run the tests
        if os.fspath(place) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return whole(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=f"{closed}: Permission denied"):
        listing(Settings(f"image_folder:{tmp_path}"))


AWKWARD = [b"caf\xe9", b"caf\xe8", "Tür".encode(), "日本 語".encode(), b"two\nlines", b"\x1b[31mred", b" lead", b"-rf",
           b"a'b\"c", b"x" * 200, "\u202etxt".encode()]


@pytest.mark.skipif(os.name != "posix", reason="names are text on this system")
def test_names_of_any_bytes_are_used_told_apart_and_shown(tmp_path):
    root = os.fsencode(tmp_path)
    for number, name in enumerate(AWKWARD):
        os.mkdir(os.path.join(root, name))
        for row in range(3):
            save(tmp_path / "x.png", noise(10 * number + row, 4, 4))
            os.rename(tmp_path / "x.png", os.path.join(root, name, b"%d\xff\n.png" % row))
    with open(os.path.join(root, AWKWARD[0], b"bad\xfe.png"), "w") as file:
        file.write("no picture")
    loaded = load(Settings(f"image_folder:{tmp_path}", max_bad=0.1))
    assert set(loaded.dataset.classes) == {r"caf\xe9", r"caf\xe8", "Tür", "日本 語", r"two\nlines", r"\x1b[31mred",
                                           "lead", "-rf", "a'b\"c", "x" * 200, r"\u202etxt"}
    assert loaded.dataset.counts.tolist() == [1] * len(AWKWARD)
    found = looked(tmp_path)
    for facts in (found, loaded.facts):
        shown = json.dumps(facts, ensure_ascii=False)
        assert shown.encode() and names(facts["bad"]) == {r"bad\xfe.png": facts["bad"][0]["reason"]}
    assert found["counts"]["train"] == [3] * len(AWKWARD)


def test_a_table_with_every_fault(tmp_path):
    for row in range(6):
        save(tmp_path / f"{row}.png", noise(row, 5, 5))
    lines = [f"{row}.png,{'ab'[row % 2]}" for row in range(6)] + ["nul\0.png,a", ".,b", "gone.png,a", "0.png,b"]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]))
    found = survey(Settings(f"csv:{tmp_path}/t.csv"))
    assert found["counts"] == {"train": [3, 4]} and not found["usable"]
    reasons = [file["reason"] for file in found["bad"]]
    assert "null" in reasons[0] and reasons[1:] == ["not a regular file", "no such file"]
    assert found["duplicates"]["two_labels"] == 2


def test_frames_and_dim_images_are_told(tmp_path):
    from PIL import Image

    folder(tmp_path, {"a": 3, "b": 3})
    frames = [Image.new("L", (6, 6), value) for value in (9, 200)]
    for kind in ("gif", "png", "webp", "tif"):
        frames[0].save(tmp_path / "a" / f"moving.{kind}", save_all=True, append_images=frames[1:])
    save(tmp_path / "b" / "dim.png", np.full((6, 6), 4095, np.uint16))
    save(tmp_path / "b" / "deep.png", np.full((6, 6), 4096, np.uint16))
    found = looked(tmp_path)
    assert (found["frames"], found["dim"]) == (4, 1)


@pytest.mark.parametrize("source", ["digits", "npz"])
def test_arrays(tmp_path, source):
    if source == "npz":
        x = noise(0, 12, 16, 16, 3)
        x[11] = x[0]
        np.savez(tmp_path / "x.npz", x_train=x[:8], y_train=[0, 1] * 4, x_test=x[8:], y_test=[0, 1, 0, 1])
        source = f"npz:{tmp_path}/x.npz"
    found = survey(Settings(source))
    if source == "digits":
        assert found["counts"]["train"] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180] and found["alike"] is None
    else:
        assert found["duplicates"] == {
            "groups": 1, "copies": 1, "across": {"train_test": 1}, "two_labels": 2,
            "examples": [[["train[0]", "0"], ["test[3]", "1"]]]}
    assert found["usable"]


def test_a_source_that_is_none():
    with pytest.raises(DataError, match="Did you mean digits"):
        survey(Settings("digit"))

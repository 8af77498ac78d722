"""Which shipped space fits, and what `autotricks data check` prints and returns."""
import json
import shlex
import sys

import numpy as np
import pytest

from autotricks import cli
from autotricks.cli.views.search import leaks
from autotricks.data import Settings, load
from autotricks.space import load_space
from autotricks.space.load import shipped
from autotricks.space.recommendation import command, compare, judged
from autotricks.space.sections import Bound, FitsSection

from .data.pictures import folder, noise, save


def facts(train, side=64, size=None):
    return {"source": "image_folder:my photos", "task": "classification", "counts": {"train": train},
            "split_images": {"train": sum(train)}, "imbalance": max(train) / min(train),
            "per_class": sum(train) / len(train), "side": side, "size": size, "fit": None}


def fitting(*found):
    return [one.space for one in compare(facts(*found)) if one.fits]


def test_every_space_that_ships_and_says_what_it_fits_says_something():
    sections = {path.name: load_space(path).document.fits for path in shipped()}
    assert {"long_tail.yaml", "long_tail_cifar.yaml"} <= {name for name, fits in sections.items() if fits}
    assert all(fits != FitsSection() for fits in sections.values() if fits)


def test_long_tails_get_a_long_tailed_space():
    assert "long_tail.yaml" in fitting([100, 30, 10])
    assert "long_tail.yaml" not in fitting([99, 30, 10])
    assert fitting([5000, 500, 50], 32)[0] == "long_tail_cifar.yaml" and "long_tail.yaml" in fitting([5000, 50], 32)
    assert "long_tail_cifar.yaml" not in fitting([5000, 500, 50], 64)
    assert "long_tail_cifar.yaml" not in fitting([100, 10], 32)


def test_bounds_are_met_at_their_ends_and_the_reasons_say_the_values():
    section = FitsSection(images=Bound(min=1000), side=Bound(min=28, max=40), imbalance=Bound(max=2.5))
    values = {"images": 1000, "side": 40, "imbalance": 2.5, "per_class": 1}
    assert judged(section, values) == (True, ("imbalance 2.5, made for up to 2.5",
                                              "training images 1,000, made for 1,000 and more",
                                              "pixels on the shorter side 40, made for 28 to 40"))
    assert judged(section, {**values, "side": 41}) == (False, ("pixels on the shorter side 41, made for 28 to 40",))
    assert judged(section, {**values, "images": 999})[0] is judged(section, {**values, "imbalance": 2.51})[0] is False


def test_the_command_is_what_a_shell_takes():
    first = compare(facts([100, 10], 64, 48))[0]
    assert command(facts([100, 10], 64, 48), first) == (
        "autotricks search --space long_tail.yaml --data 'image_folder:my photos' --set data.size=48 "
        "--set data.imbalance=null")


@pytest.fixture
def ran(capsys, monkeypatch):
    """Run the command in this process, where importing torch is paid for; return exit code, output and errors."""
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["autotricks", "data", "check", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()
    return run


def test_a_usable_folder(tmp_path, ran):
    folder(tmp_path / "train", {"many": 30, "few": 3}, (20, 20, 3))
    folder(tmp_path / "test", {"many": 3, "few": 3}, (20, 20, 3), seed=50)
    save(tmp_path / "test" / "many" / "copy.png", noise(0, 20, 20, 3))
    code, out, _ = ran(f"image_folder:{tmp_path}")
    assert code == 0
    assert "2 classes, 40 images: train 33, test 7" in out and "Sizes:   20x20\n" in out
    assert f"  many      30 {'#' * 50}\n  few        3 {'#' * 5}\n" in out
    assert "Equal images: copies 1, groups 1\n  test images with equal images in train: 1;" in out
    assert "Look-alikes:  none" in out and "\nSpaces that fit:\n" in out
    assert out.endswith(f"Next: autotricks init image_folder:{tmp_path}\n"
                        f"or:   autotricks search --space long_tail.yaml --data image_folder:{tmp_path} "
                        "--set data.imbalance=null\n")


def test_a_folder_that_training_refuses(tmp_path, ran):
    folder(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "x.png").write_text("no picture")
    (tmp_path / "c").mkdir()
    code, out, errors = ran(f"image_folder:{tmp_path}")
    assert code == 1 and errors == ""
    assert "Bad files, left out: 1 (9.09% of 11)" in out and "\nNext" not in out
    said = out.split("Training refuses these data:\n")[1].splitlines()
    assert len(said) == 1 and "1 of 11 files cannot be read" in said[0]
    assert f"\nno image lies in c of {tmp_path}, which are no classes therefore\n" in out


def test_for_machines_and_what_is_no_source(tmp_path, ran):
    code, out, _ = ran("digits", "--json")
    found = json.loads(out)
    assert code == 0 and found["images"] == 1797 and {one["space"] for one in found["spaces"]} >= {"long_tail.yaml"}
    code, out, errors = ran(f"image_folder:{tmp_path}/nowhere")
    assert (code, out) == (2, "") and errors.startswith("data.source: ") and "no such file or folder" in errors


@pytest.mark.parametrize(("copies", "said"), [
    (0, []), (2, ["2 test images are, pixel for pixel, in train too, so that figures on them flatter; "
                  "--set data.duplicates=drop takes them out of train"])])
def test_a_search_says_in_one_line_how_many_images_leak(tmp_path, copies, said):
    x = noise(0, 40, 4, 4)
    test = np.concatenate([x[:copies], x[36 + copies:]])
    np.savez(tmp_path / "x.npz", x_train=x[:30], y_train=[0, 1] * 15, x_val=x[30:36], y_val=[0, 1] * 3, x_test=test,
             y_test=[0, 1] * 2)
    assert leaks(load(Settings(f"npz:{tmp_path}/x.npz")).facts) == said


def test_images_with_several_labels_count_once_and_get_a_space_of_their_task(tmp_path, ran):
    """250 of the left half's label, 250 of the right half's, on 260 images."""
    rows = ["path,label"]
    for row in range(260):
        names = ["left"] * (row < 250) + ["right"] * (row >= 10)
        rows.append(f"{save(tmp_path / f'{row}.png', noise(row, 24, 24)).name},{'|'.join(names)}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    code, out, _ = ran(f"csv:{tmp_path}/labels.csv", "--set", "data.task=multilabel", "--set", "data.separator=|")
    assert code == 0 and "2 classes, 260 images: train 260\n" in out and "without a label" not in out
    assert "\nsplits: train from the source itself; test and validation cut from train\n" in out
    assert "Spaces that fit:\n  multi_label.yaml: training images 260, made for 200 and more; pixels" in out
    assert "small_data.yaml" not in out and "from_scratch.yaml" not in out


def test_the_commands_that_follow_carry_everything_that_was_said(tmp_path, monkeypatch, ran):
    """Where own code must be trusted, they trust it too; each does when pasted what was meant."""
    (tmp_path / "mine.py").write_text("import numpy as np\n\n\ndef photos():\n    noise = np.random."
                                      "RandomState(0)\n    pixels = noise.randint(0, 256, (40, 8, 8), np.uint8)\n"
                                      "    return pixels, [0, 1] * 20\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, errors = ran("mine:photos", "--trust", "--set", "data.test=0.5")
    assert (code, errors) == (0, "")
    following = [shlex.split(line[6:]) for line in out.splitlines()[-2:]]
    assert following == [["autotricks", "init", "mine:photos", "--set", "data.test=0.5", "--trust"],
                         ["autotricks", "search", "--space", "from_scratch.yaml", "--data", "mine:photos", "--set",
                          "data.test=0.5", "--trust"]]

"""image_folder, csv, and what all sources share: their names, their errors, their limits."""
import shutil

import numpy as np
import pytest
import torch

from autotricks.data import Settings, check, memory
from autotricks.data.sources import listing, read
from autotricks.errors import DataError

from .pictures import bad_corpus, folder, names, noise, save


def refused(source, **settings):
    with pytest.raises(DataError) as caught:
        read(Settings(source, **settings))
    assert str(caught.value).startswith("data.")
    return str(caught.value)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return f"csv:{path}"


def test_digits_are_the_real_ones():
    part = read(Settings("digits")).parts["train"]
    assert part.images.shape == (1797, 1, 8, 8) and names(part)[:4] == ["0", "1", "2", "3"]
    # the first row of the first digit is 0 0 5 13 9 1 0 0, of 16
    assert part.images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]


def test_one_folder_is_the_training_part_and_hidden_files_are_skipped(tmp_path):
    root = folder(tmp_path / "Fotos für später", {"chien": 2, "été": 1})
    for place in (".DS_Store", "chien/Thumbs.db", "chien/._000.png", "__MACOSX/x/a.png", ".git/a.png",
                  "chien/.trash/a.png"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("clutter")
    raw = read(Settings(f"image_folder:{root}"))
    assert set(raw.parts) == {"train"} and raw.classes == ("chien", "été") and raw.bad == ()
    assert names(raw.parts["train"]) == ["chien", "chien", "été"]
    for row, seed in enumerate((0, 1, 100)):
        assert (raw.parts["train"].images[row].numpy() == noise(seed, 6, 6, 3).transpose(2, 0, 1)).all()


def test_accents_stored_in_two_ways_are_one_class(tmp_path):
    folder(tmp_path / "train", {"caf\u00e9": 1, "b": 1})
    folder(tmp_path / "test", {"cafe\u0301": 1, "b": 1})
    raw = read(Settings(f"image_folder:{tmp_path}"))
    assert set(names(raw.parts["train"])) == set(names(raw.parts["test"])) == {"b", "caf\u00e9"}


@pytest.mark.parametrize("word", ["val", "valid", "validation", "Val"])
def test_folders_for_the_splits(tmp_path, word):
    for split, count in (("train", 3), (word, 2), ("test", 1)):
        folder(tmp_path / split, {"a": count, "b": 1}, seed=count)
    raw = read(Settings(f"image_folder:{tmp_path}"))
    assert {name: len(names(part)) for name, part in raw.parts.items()} == {"train": 4, "validation": 3, "test": 2}
    assert (raw.parts["test"].images[0].numpy() == noise(1000, 6, 6, 3).transpose(2, 0, 1)).all()


def test_a_class_may_be_called_train_and_its_files_lie_deeper(tmp_path):
    folder(tmp_path, {"train": 1, "bus": 1, "tram/old": 2})
    assert names(read(Settings(f"image_folder:{tmp_path}")).parts["train"]) == ["bus", "train", "tram", "tram"]


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path):
    assert read(Settings(f"image_folder:{folder(tmp_path, {'10': 1, '2': 1, '1': 1})}")).classes == ("1", "2", "10")


def test_gray_and_color_files_together_are_color(tmp_path):
    save(tmp_path / "a" / "gray.png", noise(1, 3, 3))
    save(tmp_path / "b" / "color.png", noise(2, 3, 3, 3))
    images = read(Settings(f"image_folder:{tmp_path}")).parts["train"].images
    assert (images[0].numpy() == noise(1, 3, 3)).all() and images.shape == (2, 3, 3, 3)
    assert read(Settings(f"image_folder:{tmp_path}", channels=1)).parts["train"].images.shape == (2, 1, 3, 3)


def test_errors_of_folders(tmp_path):
    folder(tmp_path / "flowers", {"a": 1, "b": 1})
    assert refused(f"image_folder:{tmp_path}/flwers/train").endswith(f"Did you mean {tmp_path}/flowers?")
    (tmp_path / "flowers" / "c").mkdir()
    assert listing(Settings(f"image_folder:{tmp_path}/flowers")).notices == (
        f"no image lies in c of {tmp_path}/flowers, which are no classes therefore",)
    assert "holds no folder for a class" in refused(f"image_folder:{tmp_path}/flowers/a")
    assert "is a file" in refused(f"image_folder:{tmp_path}/flowers/a/000.png")
    shutil.rmtree(tmp_path / "flowers")
    folder(tmp_path / "flowers" / "test", {"a": 1})
    assert "has test but no train folder" in refused(f"image_folder:{tmp_path}/flowers")
    save(tmp_path / "flowers" / "train" / "loose.png", noise(1, 3, 3))
    assert f"{tmp_path}/flowers/train holds no folder for a class" in refused(f"image_folder:{tmp_path}/flowers")
    folder(tmp_path / "two" / "train", {"a": 1})
    for word in ("val", "valid"):
        folder(tmp_path / "two" / word, {"a": 1})
    assert "are both the validation split" in refused(f"image_folder:{tmp_path}/two")


def test_bad_files_are_counted_and_refused_above_the_share(tmp_path):
    words = bad_corpus(tmp_path / "a")
    folder(tmp_path, {"a": 3, "b": 6})
    refusal = refused(f"image_folder:{tmp_path}")
    assert f"{len(words)} of {len(words) + 9} files cannot be read, 50.00% where data.max_bad allows 1.00%" in refusal
    assert f"{tmp_path}/a/bomb.png (more than" in refusal and "and 6 more" in refusal
    raw = read(Settings(f"image_folder:{tmp_path}", max_bad=0.5))
    assert {file.path.rsplit("/", 1)[1] for file in raw.bad} == set(words)
    assert names(raw.parts["train"]) == ["a"] * 3 + ["b"] * 6
    assert (raw.parts["train"].images[0].numpy() == noise(0, 6, 6, 3).transpose(2, 0, 1)).all()


def test_a_split_without_a_readable_file(tmp_path):
    folder(tmp_path / "train", {"a": 2, "b": 2})
    for name in "ab":
        (tmp_path / "test" / name).mkdir(parents=True)
        (tmp_path / "test" / name / "x.png").write_text("no picture")
    assert "none of the test images can be read" in refused(f"image_folder:{tmp_path}", max_bad=1)


def test_images_that_memory_does_not_hold_are_refused_early(tmp_path, monkeypatch):
    folder(tmp_path, {"a": 2, "b": 2})
    np.savez(tmp_path / "x.npz", x=noise(0, 4, 6, 6, 3), y=np.arange(4) % 2)
    monkeypatch.setattr(memory, "available", lambda: 400)
    assert "4 images of 6 x 6 x 3 need" in refused(f"image_folder:{tmp_path}")
    assert f"the arrays in {tmp_path}/x.npz need" in refused(f"npz:{tmp_path}/x.npz")


def test_a_table(tmp_path):
    for row in range(4):
        save(tmp_path / "img" / f"{row}.png", noise(row, 3, 3))
    source = write(tmp_path / "t.csv", "\ufeffpath, Label ,note,split\nimg/0.png,b,x,train\nimg/1.png,a,,Train\n\n"
                   f"{tmp_path}/img/2.png,a,y,val\nimg/3.png,b,z,test\n")
    raw = read(Settings(source))
    assert {name: list(names(part)) for name, part in raw.parts.items()} == {
        "train": ["b", "a"], "validation": ["a"], "test": ["b"]}
    assert (raw.parts["validation"].images[0, 0].numpy() == noise(2, 3, 3)).all()
    assert raw.classes == ("a", "b")


def test_a_table_without_splits_and_with_missing_files(tmp_path):
    save(tmp_path / "0.png", noise(0, 3, 3))
    raw = read(Settings(write(tmp_path / "t.csv", "path,label\n0.png,a\n1.png,b\n"), max_bad=0.5))
    assert names(raw.parts["train"]) == ["a"]
    assert [(file.path, file.reason) for file in raw.bad] == [(str(tmp_path / "1.png"), "no such file")]


@pytest.mark.parametrize(("text", "message"), [
    ("", "has no column path and no column label"),
    ("path,kind,place\nx,a,b\n", "which column of t.csv holds the label is not clear: its columns are kind, place."),
    ("path,label\n", "lists no images"), ("path,label\nx.png,\n", "t.csv:2 (no label)"),
    ("path,label\n,a\n", "t.csv:2 (no path)"), ("path,label\nx.png,a,b\n", "t.csv:2 (3 cells where there are 2"),
    ("path;label\nx;a\n", "none of the files that t.csv names is there, such as x. Set data.folder and data.suffix"),
    ("path,label,split\nx.png,a,train\nx.png,a,tset\n", ":3: split 'tset' is not allowed"),
    ("path,label,split\nx.png,a\n", ":2: split '' is not allowed"),
    ("path,label,split\nx.png,a,test\n", "no line whose split is train")])
def test_errors_of_tables(tmp_path, text, message):
    assert message in refused(write(tmp_path / "t.csv", text)).replace(f"{tmp_path}/", "")


def test_a_table_that_is_no_text(tmp_path):
    save(tmp_path / "t.png", noise(0, 3, 3))
    assert "is not a table in UTF-8" in refused(f"csv:{tmp_path}/t.png")
    assert "is not a regular file" in refused(f"csv:{tmp_path}")


def test_many_wrong_lines_are_shortened(tmp_path):
    refusal = refused(write(tmp_path / "t.csv", "path,label,split\n" + "x,a,b\n" * 9))
    assert len(refusal.splitlines()) == 6 and "and 4 more lines" in refusal


@pytest.mark.parametrize(("source", "message"), [
    ("image_foldr:data", "Did you mean image_folder:data?"), ("CSV:data/x.csv", "Did you mean csv:data/x.csv?"),
    ("digit", "Did you mean digits?"), ("data/flowers", "Did you mean image_folder:data/flowers?"),
    ("data/x.npz", "Did you mean npz:data/x.npz?"), ("imagenet", "Allowed are digits, digit_scenes, image_folder:PATH"),
    ("csv:", "csv needs a path"), ("torchvision", "torchvision needs a name"), ("digits:3", "takes nothing after it"),
    ("my_package.loaders:birds", "is code of yours; allow it with --trust")])
def test_errors_of_names(source, message):
    with pytest.raises(DataError) as caught:
        check(source)
    assert str(caught.value).startswith("data.source: ") and message in str(caught.value)


def test_names_that_are_allowed():
    for source in ("digits", "csv:x", "torchvision:CIFAR10:/root", "image_folder:C:\\data"):
        check(source)
    check("my_package.loaders:birds", trust=True)


@pytest.mark.parametrize("size", [None, 4])
def test_digits_resized(size):
    images = read(Settings("digits", size=size, channels=3)).parts["train"].images
    assert images.shape == (1797, 3, size or 8, size or 8) and images.dtype == torch.uint8
    assert (images[:, 0] == images[:, 2]).all()

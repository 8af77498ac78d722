"""webdataset: shards of samples; any image of them is read at any time."""
import io
import json
import tarfile

import pytest
import torch

from autotricks.data import Group, Settings, Splits, Table, load, survey
from autotricks.data.sources import read
from autotricks.errors import DataError

from .pictures import encoded, names, noise


def shard(path, samples):
    """Write a tar; samples are (key, {extension: content})."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for key, members in samples:
            for extension, content in members.items():
                content = content if isinstance(content, bytes) else str(content).encode()
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def image(seed):
    return encoded(noise(seed, 5, 5, 3))


def samples(rows, **more):
    return [(f"{row:04d}", {"png": image(row), "cls": row % 3, **{name: make(row) for name, make in more.items()}})
            for row in rows]


def refused(source, **settings):
    with pytest.raises(DataError) as caught:
        read(Settings(source, **settings))
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.fixture
def shards(tmp_path):
    shard(tmp_path / "train-000.tar", samples(range(12)))
    shard(tmp_path / "train-001.tar", samples(range(12, 24)))
    shard(tmp_path / "val" / "000.tar", samples(range(24, 30)))
    shard(tmp_path / "imagenet_test.tar", samples(range(30, 39)))
    shard(tmp_path / "extra.tar", samples(range(39, 42)))
    return tmp_path


def test_a_folder_of_shards(shards):
    raw = read(Settings(f"webdataset:{shards}"))
    assert {split: len(part.labels) for split, part in raw.parts.items()} == {"train": 24, "validation": 6, "test": 9}
    assert names(raw.parts["train"]) == [str(row % 3) for row in range(24)]
    assert names(raw.parts["validation"]) == [str(row % 3) for row in range(24, 30)]
    for row in (0, 13, 23):
        assert (raw.parts["train"].images[row].numpy() == noise(row, 5, 5, 3).transpose(2, 0, 1)).all()
    assert raw.origin == dict.fromkeys(raw.parts, "names of shards")
    assert [(one.path, one.reason) for one in raw.skipped] == [
        (f"{shards}/extra.tar", "its name says no split, where those of other shards do")]


def test_streamed_as_in_memory(shards):
    ours, theirs = (load(Settings(f"webdataset:{shards}", memory=memory, workers=1)) for memory in (0.0, None))
    assert ours.facts["streamed"] and not theirs.facts["streamed"]
    assert ours.dataset.fingerprint == theirs.dataset.fingerprint
    images = ours.dataset.train.images
    batches = torch.randperm(24, generator=torch.Generator().manual_seed(0)).split(5)
    images.announce(batches)
    for rows in batches:
        assert torch.equal(images[rows], theirs.dataset.train.images[rows])
    assert set(images.paths) == {f"{shards}/train-000.tar", f"{shards}/train-001.tar"}


def test_data_check(shards):
    facts = survey(Settings(f"webdataset:{shards}"))
    assert facts["usable"] and facts["counts"] == {"train": [8, 8, 8], "validation": [2, 2, 2], "test": [3, 3, 3]}
    assert facts["formats"] == {"PNG": 39} and facts["sizes"]["largest"] == [5, 5]


@pytest.mark.parametrize(("form", "count"), [
    ("train-{000..001}.tar", 24), ("train-00*.tar", 24), ("train-{000,001}.tar", 24), ("train-001.tar", 12),
    ("{train-000,val/000}.tar", 12), ("**/*.tar", 24)])
def test_ways_to_name_shards(shards, form, count):
    raw = read(Settings(f"webdataset:{shards}/{form}"))
    assert len(raw.parts["train"].labels) == count
    assert ("validation" in raw.parts) == ("val" in form or "**" in form)


def test_words_of_ones_own_for_the_splits(shards):
    raw = read(Settings(f"webdataset:{shards}", splits=Splits(test=("extra",))))
    assert {split: len(part.labels) for split, part in raw.parts.items()} == {"train": 39, "test": 3}


def test_labels_and_groups_in_json(tmp_path):
    shard(tmp_path / "a.tar", samples(range(12), json=lambda row: json.dumps({
        "label": "xyz"[row % 2], "many": [["p", "q"], ["q"], []][row % 3], "film": f"f{row // 4}"})))
    raw = read(Settings(f"webdataset:{tmp_path}/a.tar", table=Table(label=("label",)), group=Group(column="film")))
    assert names(raw.parts["train"]) == ["x", "y"] * 6 and raw.parts["train"].groups == [
        f"f{row // 4}" for row in range(12)]
    raw = read(Settings(f"webdataset:{tmp_path}/a.tar", table=Table(label=("many",)), max_bad=0))
    assert raw.parts["train"].labels == [("p", "q"), ("q",), ()] * 4
    raw = read(Settings(f"webdataset:{tmp_path}/a.tar", group=Group(pattern=r"^a.tar/(\d{3})")))
    assert set(raw.parts["train"].groups) == {"000", "001"}
    assert "a.tar/0000: its .json has no patient" in refused(f"webdataset:{tmp_path}/a.tar",
                                                             group=Group(column="patient"))


def test_several_images_a_sample(tmp_path):
    shard(tmp_path / "a.tar", samples(range(6), **{"mask.png": lambda row: image(row + 50)}))
    assert "a.tar/0000 has several images, png, mask.png. Name the one to take: data.path: png" in refused(
        f"webdataset:{tmp_path}/a.tar")
    for extension, first in (("png", 0), ("mask.png", 50)):
        part = read(Settings(f"webdataset:{tmp_path}/a.tar", table=Table(path=extension))).parts["train"]
        assert (part.images[0].numpy() == noise(first, 5, 5, 3).transpose(2, 0, 1)).all()


def test_samples_that_cannot_be_used_are_set_aside(tmp_path):
    bad = [("b0", {"png": image(1)}), ("b1", {"cls": 1}), ("b2", {"png": image(1), "cls": " "}),
           ("b3", {"png": image(1), "json": "{"}), ("b4", {"png": image(1), "json": '{"label": {"a": 1}}'}),
           ("b5", {"png": image(1), "cls": b"\xff"}), ("b6", {"png": b"no picture", "cls": 1}),
           ("b7", {"pyd": b"\x80\x04.", "png": image(1)})]
    shard(tmp_path / "a.tar", [*samples(range(6)), *bad])
    assert "8 of 14 files cannot be read" in refused(f"webdataset:{tmp_path}/a.tar")
    raw = read(Settings(f"webdataset:{tmp_path}/a.tar", max_bad=0.6))
    assert len(raw.parts["train"].labels) == 6
    reasons = {one.path[-2:]: one.reason for one in raw.bad if not one.path.endswith(".png")}
    assert reasons == {"b0": "no label; its members are png", "b1": "no image; its members are cls",
                       "b2": "no label; its .cls is empty", "b4": "no label; {'a': 1} is none", "b3": reasons["b3"],
                       "b5": "its .cls is no text in UTF-8", "b7": "no label; its members are pyd, png"}
    assert reasons["b3"].startswith("its .json cannot be read: Expecting property name")


def test_errors_of_shards(tmp_path, shards):
    assert "1 of 3 shards are not there, the first of them" in refused(f"webdataset:{shards}/train-{{000..002}}.tar")
    assert "{0..100000} is not allowed; write {000..012}, of at most 100,000 shards" in refused(
        f"webdataset:{shards}/train-{{0..100000}}.tar")
    assert "{5..2} is not allowed" in refused(f"webdataset:{shards}/train-{{5..2}}.tar")
    (tmp_path / "none").mkdir()
    assert "none holds no .tar file. Name a folder that does, or a file." in refused(f"webdataset:{tmp_path}/none")
    assert "Did you mean" in refused(f"webdataset:{shards}/train-00.tar")
    whole = (shards / "train-001.tar").read_bytes()
    (shards / "train-001.tar").write_bytes(whole[:7000])
    assert "train-001.tar is cut off or damaged after" in refused(f"webdataset:{shards}")
    (shards / "train-001.tar").unlink()
    shard(shards / "val-train.tar", samples(range(3)))
    assert "val-train.tar is called by several splits, train, validation. Rename it" in refused(f"webdataset:{shards}")
    shard(tmp_path / "x" / "val.tar", samples(range(6)))
    assert "has no shard with samples to train on. A sample is key.jpg and key.cls" in refused(
        f"webdataset:{tmp_path}/x")
    shard(tmp_path / "y.tar", [("a", {"txt": "a cat", "png": image(1)})])
    assert "to train on: " in (line := refused(f"webdataset:{tmp_path}/y.tar"))
    assert "y.tar/a: no label; its members are txt, png. A sample" in line

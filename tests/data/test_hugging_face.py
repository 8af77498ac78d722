"""hf: data sets from a folder, as the library reads them from the hub: no network, and no code of theirs."""
import os
from importlib.util import find_spec

import pytest
import torch

from autotricks.data import Group, Settings, Splits, Table, load, survey
from autotricks.data.sources import hugging_face, read
from autotricks.errors import DataError

from .pictures import encoded, folder, names, noise

installed = pytest.mark.skipif(not find_spec("datasets"), reason="the extra hf is not installed")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """The library reads its switches when it is imported; here it is told again."""
    if find_spec("datasets"):
        import datasets
        import huggingface_hub

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        datasets.disable_progress_bars()


def made(**splits):
    """A data set with splits of so many images; labels 0, 1, 2, 0, ..., named zebra, ant, bee."""
    import datasets

    features = datasets.Features({"image": datasets.Image(), "film": datasets.Value("string"), "label":
                                  datasets.ClassLabel(names=["zebra", "ant", "bee"])})
    return datasets.DatasetDict({split: datasets.Dataset.from_dict(
        {"image": [{"bytes": encoded(noise(row, 5, 5, 3)), "path": None} for row in rows],
         "film": [f"{split}{row // 2}" for row in rows], "label": [row % 3 for row in rows]}, features=features)
        for split, rows in splits.items()})


def refused(source, **settings):
    with pytest.raises(DataError) as caught:
        read(Settings(source, **settings))
    assert len(caught.value.problems) == 1 and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@installed
def test_a_folder_of_parquet_and_one_of_save_to_disk(tmp_path):
    held = made(train=range(18), test=range(20, 29), extra=range(30, 33))
    held.save_to_disk(tmp_path / "disk", num_shards={"train": 2, "test": 1, "extra": 1})
    for split, rows in held.items():
        rows.to_parquet(tmp_path / "hub" / f"{split}-00000-of-00001.parquet")
    fingerprints = set()
    for place in ("disk", "hub"):
        source = f"hf:{tmp_path}/{place}"
        raw = read(Settings(source))
        assert raw.classes == ("zebra", "ant", "bee") and {
            split: len(part.labels) for split, part in raw.parts.items()} == {"train": 18, "test": 9}
        assert names(raw.parts["train"]) == ["zebra", "ant", "bee"] * 6
        for row in (0, 9, 17):
            assert (raw.parts["train"].images[row].numpy() == noise(row, 5, 5, 3).transpose(2, 0, 1)).all()
        if place == "disk":
            assert [(one.path, one.reason) for one in raw.skipped] == [
                (f"{source} extra", "a split that is none of train, validation, test; data.splits says otherwise")]
        ours = load(Settings(source, memory=0.0, workers=1, group=Group(column="film")))
        theirs = load(Settings(source, group=Group(column="film")))
        assert ours.facts["streamed"] and ours.facts["groups"] == theirs.facts["groups"] == 9 + 5
        assert ours.dataset.fingerprint == theirs.dataset.fingerprint
        stream = ours.dataset.train.images
        batches = torch.arange(len(stream)).split(4)
        stream.announce(batches)
        assert torch.equal(torch.cat([stream[rows] for rows in batches]), theirs.dataset.train.images)
        fingerprints.add(ours.dataset.fingerprint)
    assert len(fingerprints) == 1


@installed
@pytest.mark.slow
def test_splits_and_columns_by_name(tmp_path):
    made(full=range(12), held=range(12, 18)).save_to_disk(tmp_path / "disk")
    source = f"hf:{tmp_path}/disk"
    assert ("data.splits: " + source + " has no split that is called train; its splits are full, held. Say which are "
            "what: data.splits: {train: full}.") == refused(source)
    raw = read(Settings(source, splits=Splits(train=("full",), test=("held",))))
    assert {split: len(part.labels) for split, part in raw.parts.items()} == {"train": 12, "test": 6}
    assert raw.origin == {"train": "split full", "test": "split held"}
    raw = read(Settings(source, splits=Splits(test=("held",))))
    assert {split: len(part.labels) for split, part in raw.parts.items()} == {"train": 12, "test": 6}
    assert "has no split fll; its splits are full, held" in refused(source, splits=Splits(train=("fll",)))
    raw = read(Settings(source, splits=Splits(train=("full",)), table=Table(label=("film",))))
    assert names(raw.parts["train"])[:4] == ["full0", "full0", "full1", "full1"]
    assert "was written by save_to_disk, which knows no config. Leave it out." in refused(f"{source}?config=x")
    assert "has no column fine" in refused(source, splits=Splits(train=("full",)), table=Table(label=("fine",)))
    assert "it has no column img. Its columns are image" in refused(source, splits=Splits(train=("full",)),
                                                                   table=Table(path="img"))


@installed
@pytest.mark.slow
def test_images_in_files_of_their_own(tmp_path):
    """The library finds classes in folders; its table holds paths alone."""
    folder(tmp_path / "birds" / "train", {"a": 4, "b": 4})
    folder(tmp_path / "birds" / "test", {"a": 2, "b": 2}, seed=1)
    facts = survey(Settings(f"hf:{tmp_path}/birds"))
    assert facts["usable"] and facts["counts"] == {"train": [4, 4], "test": [2, 2]}
    ours, theirs = (load(Settings(f"{word}:{tmp_path}/birds")) for word in ("hf", "image_folder"))
    assert ours.dataset.fingerprint == theirs.dataset.fingerprint


@installed
@pytest.mark.slow
def test_rows_that_were_moved_are_refused_and_compressed_files_too(tmp_path):
    import datasets

    held = made(train=range(6))["train"]
    held.save_to_disk(tmp_path / "disk")
    loaded = datasets.load_from_disk(str(tmp_path / "disk"))
    piece = hugging_face._piece("x", "train", loaded, "image")
    assert [place.open().read() for place in piece.images] == [encoded(noise(row, 5, 5, 3)) for row in range(6)]
    file = tmp_path / "disk" / "data-00000-of-00001.arrow"
    whole = file.read_bytes()
    os.truncate(file, len(whole) // 2)
    with pytest.raises(DataError, match=r"x: .*\.arrow cannot be read: .*\. Delete it, and load the data set anew\."):
        hugging_face._piece("x", "train", loaded, "image")
    file.write_bytes(whole)
    with pytest.raises(DataError, match=r"x: its rows were chosen, 3 of 6\. Load it with datasets"):
        hugging_face._piece("x", "train", loaded.select(range(3)), "image")
    with pytest.raises(DataError, match=r"x: its rows were chosen or moved\. Load it with"):
        hugging_face._piece("x", "train", loaded.shuffle(seed=1), "image")


@installed
@pytest.mark.slow
def test_what_cannot_be_had(tmp_path):
    assert refused("hf:somebody/photos") == (
        "data.source: hf:somebody/photos is not in the cache, and HF_HUB_OFFLINE keeps from the hub. Run autotricks "
        "data check hf:somebody/photos where there is a network, and take that HF_HOME along.")
    assert "nowhere: no such folder" in refused(f"hf:{tmp_path}/nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty cannot be loaded: " in refused(f"hf:{tmp_path}/empty")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text("raise SystemExit('ran')")
    assert "code is made by code of its own, which is not run. Look for a copy of it in Parquet files." in refused(
        f"hf:{tmp_path}/code")
    made(train=range(3))["train"].to_parquet(tmp_path / "plain" / "train.parquet")
    assert "plain: which configuration to take is not clear: BuilderConfig 'x' not found. Available: ['default'] " in (
        refused(f"hf:{tmp_path}/plain?config=x"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "train.parquet").write_bytes(b"PAR1 broken")
    assert "broken cannot be loaded: " in refused(f"hf:{tmp_path}/broken")


def test_arguments_of_a_name():
    assert "'conf=x' is not allowed; hf takes config=... and revision=..., each once" in refused("hf:a/b?conf=x")
    assert "'config=' is not allowed" in refused("hf:a/b?config=")
    assert "'config=y' is not allowed" in refused("hf:a/b?config=x&config=y")


def test_without_the_library(monkeypatch):
    monkeypatch.setattr(hugging_face, "find_spec", lambda name: None)
    assert refused("hf:a/b") == "data.source: hf:a/b needs the library datasets: pip install 'autotricks[hf]'."

"""Streamed images against the same images in memory: the same facts, the same training to the bit."""
import gc
import multiprocessing
import os
import pickle
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from autotricks.core.bundle import Bundle
from autotricks.data import Group, Settings, load, stream
from autotricks.data.stream import Reading, Streamed
from autotricks.errors import DataError
from autotricks.trial import prepare, run_trial
from autotricks.tricks.catalog import make
from autotricks.tuning.engines.rung_training import arrays, from_arrays
from tests.trainer.made import differences

PER_CLASS, CLASSES = 24, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """72 PNGs of 8 x 8, those of the first class gray."""
    root, random = tmp_path_factory.mktemp("pictures"), np.random.RandomState(0)
    for label in range(CLASSES):
        (root / f"class{label}").mkdir()
        for number in range(PER_CLASS):
            values = random.randint(0, 160, (8, 8, 3), np.uint8)
            values[:, 2 * label:2 * label + 3] += 80
            picture = Image.fromarray(values[..., 0] if label == 0 else values)
            picture.save(root / f"class{label}" / f"{number:02d}.png")
    return root


def settings(folder, **changes):
    return Settings(f"image_folder:{folder}", imbalance=2, **changes)


@pytest.fixture(scope="module")
def whole(folder):
    return load(settings(folder))


@pytest.fixture(scope="module")
def streamed(folder):
    return load(settings(folder, memory=0.0, workers=2))


def test_what_is_known_of_the_data_is_the_same(whole, streamed):
    assert whole.facts.pop("streamed") is False and streamed.facts.pop("streamed") is True
    assert {**whole.facts, "seconds": 0} == {**streamed.facts, "seconds": 0}
    for name in ("train", "validation", "test"):
        ours, theirs = getattr(streamed.dataset, name), getattr(whole.dataset, name)
        assert isinstance(ours.images, Streamed) and ours.images.shape == theirs.images.shape
        assert torch.equal(ours.targets.single, theirs.targets.single)
        assert torch.equal(torch.cat(list(ours.images.split(7))), theirs.images)
        assert torch.equal(ours.images[torch.tensor([3, 0, 3])], theirs.images[torch.tensor([3, 0, 3])])
        assert torch.equal(torch.cat(list(ours.images[2:5].split(2))), theirs.images[2:5])


@pytest.mark.parametrize("tricks", [
    {},
    {"crop": {}, "flip": {}, "mixup": {}, "dropout": {}, "ema": {}, "class_balanced": {"start": 0.5}},
    # these read images by themselves
    {"lr_finder": {"iterations": 20}, "swa": {}, "pca_color": {}, "nearest_class_mean": {}},
    {"cam_sampling": {"start": 0.5}, "under_sampling": {}}])
def test_training_is_the_same_to_the_bit(whole, streamed, tricks):
    bundle = Bundle(tuple(make(name, values) for name, values in tricks.items()), epochs=2, batch_size=8, seed=1)
    states = []
    for data in (whole.dataset, streamed.dataset):
        trainer = prepare(bundle, data)
        for _ in trainer.epochs():
            pass
        states.append(trainer.state_dict())
    assert differences(*states) == []


def test_batches_are_read_by_workers_ahead_of_being_asked_for(streamed):
    images = streamed.dataset.train.images
    batches = torch.arange(12).split(4)
    images.announce(batches)
    assert images._loader.num_workers == 2 and len(images._batches._workers) == 2
    expected = images.subset(torch.arange(12))
    for rows in batches:
        assert torch.equal(images[rows], expected[rows])
    pids = [worker.pid for worker in images._batches._workers]
    images.announce(batches[1:])
    assert [worker.pid for worker in images._batches._workers] == pids, "they stay for the next epoch"
    assert os.getpid() not in pids


class Marks(Dataset):
    """Rows that say whether whoever reads them has the torch of this process, with the mark that it put there."""

    def __getitem__(self, rows):
        return torch.tensor([hasattr(torch, "marked")] * len(rows))


def test_readers_of_a_worker_process_do_not_import_torch_again(streamed, monkeypatch):
    """As in a search's worker, below a fork server, where a new process would begin from nothing."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("forkserver", force=True)
    monkeypatch.setattr(torch, "marked", True, raising=False)
    images = streamed.dataset.train.images.subset(torch.arange(12))
    images._files = Marks()
    try:
        images.announce(rows := torch.arange(12).split(4))
        assert [images[part].tolist() for part in rows] == [[True] * 4] * 3
    finally:
        multiprocessing.set_start_method(before, force=True)


def test_what_was_announced_and_not_asked_for_is_forgotten(streamed):
    images = streamed.dataset.train.images
    images.announce(torch.arange(20).split(4))
    first, other = torch.arange(4), torch.tensor([9, 1])
    assert torch.equal(images[first], images.subset(first)[torch.arange(4)]), "equal rows, but not those announced"
    images.announce([other])
    assert torch.equal(images[other], images.subset(other)[torch.arange(2)])


def test_an_order_is_not_disturbed_by_reading_all(streamed):
    images = streamed.dataset.train.images
    batches = torch.arange(len(images)).flip(0).split(5)
    images.announce(batches)
    first = images[batches[0]]
    everything = torch.cat(list(images.split(4)))
    assert torch.equal(first, everything[batches[0]]) and torch.equal(images[batches[1]], everything[batches[1]])


def test_it_travels_to_other_processes_without_its_workers(streamed):
    images = streamed.dataset.train.images
    images.announce(torch.arange(8).split(4))
    there = from_arrays(pickle.loads(pickle.dumps(arrays(streamed.dataset))))
    assert there.train.images._loader is None and there.fingerprint == streamed.dataset.fingerprint
    assert torch.equal(there.train.images[torch.arange(5)], images.subset(torch.arange(5))[torch.arange(5)])


def test_memory_decides(folder):
    """Decoded, 72 images of 8 x 8 x 3 take 13,824 bytes, and as much again while they are cut into splits."""
    exact = 2 * 72 * 192 / 2**30
    assert not load(settings(folder, memory=exact, channels=3)).facts["streamed"]
    assert load(settings(folder, memory=0.99 * exact, channels=3)).facts["streamed"]


def test_a_file_that_vanishes_is_one_clear_line(folder, tmp_path):
    for label in range(CLASSES):
        (tmp_path / f"class{label}").symlink_to(folder / f"class{label}")
    for workers in (0, 1):
        dataset = load(Settings(f"image_folder:{tmp_path}", memory=0.0, workers=workers)).dataset
        for label in range(CLASSES):
            (tmp_path / f"class{label}").rename(tmp_path / f"gone{label}")
        with pytest.raises(DataError, match=r"class\d/\d\d\.png could be read before and cannot now: no such file"):
            run_trial(Bundle((), epochs=1, batch_size=8), dataset)
        for label in range(CLASSES):
            (tmp_path / f"gone{label}").rename(tmp_path / f"class{label}")


def test_bad_files_are_left_out_as_in_memory(folder, tmp_path):
    for label in range(CLASSES):
        (tmp_path / f"class{label}").mkdir()
        for picture in (folder / f"class{label}").iterdir():
            (tmp_path / f"class{label}" / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "class1" / "00.png").write_bytes(b"no picture")
    ours, theirs = (load(Settings(f"image_folder:{tmp_path}", max_bad=0.1, memory=memory)) for memory in (0.0, None))
    assert len(ours.facts["bad"]) == 1 and ours.facts["bad"] == theirs.facts["bad"]
    assert ours.dataset.fingerprint == theirs.dataset.fingerprint
    with pytest.raises(DataError, match="1 of 72 files cannot be read"):
        load(Settings(f"image_folder:{tmp_path}", memory=0.0))


def test_rules_for_files_groups_and_duplicates_hold_for_streams_too(folder, tmp_path):
    """Unwritten ends, pipes, links, a turned TIFF, names of any bytes, whole groups, and copies across splits."""
    for label in range(CLASSES):
        for picture in (folder / f"class{label}").iterdir():
            path = tmp_path / "photos" / f"class{label}" / f"group{int(picture.stem) // 3}_{picture.name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture.read_bytes())
    place = tmp_path / "photos" / "class1"
    whole = (place / "group0_00.png").read_bytes()
    (place / "group0_00.png").write_bytes(whole[:60] + bytes(len(whole) - 60))
    os.mkfifo(place / "group0_pipe.png")
    (place / os.fsdecode(b"group1_\xff\x1b.png")).write_bytes(whole)
    turned = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(place / "group2_turned.tif", exif=exif)
    for group in range(8):
        (place / f"group{group}_copy.png").write_bytes((place / "group5_15.png").read_bytes())
    (place / "loop").symlink_to(tmp_path / "photos")
    chosen = Settings(f"image_folder:{tmp_path / 'photos'}", max_bad=0.1, duplicates="drop",
                      group=Group(pattern=r"(group\d)_"))
    ours, theirs = (load(replace(chosen, memory=memory)) for memory in (0.0, None))
    assert ours.facts.pop("streamed") and not theirs.facts.pop("streamed")
    assert {**ours.facts, "seconds": 0} == {**theirs.facts, "seconds": 0}
    assert [bad["reason"].split(":")[0] for bad in ours.facts["bad"]] == ["damaged", "not a regular file"]
    assert ours.facts["groups"] == 8 and ours.facts["dropped"]["train"] > 0 and len(ours.facts["skipped"]) == 1
    for name in ("train", "validation", "test"):
        one, other = getattr(ours.dataset, name), getattr(theirs.dataset, name)
        assert torch.equal(torch.cat(list(one.images.split(16))), other.images)
    lost = next(tmp_path.glob("photos/class0/*.png"))
    lost.rename(lost.with_suffix(".gone"))
    with pytest.raises(DataError, match="could be read before and cannot now: no such file"):
        for split in (ours.dataset.train, ours.dataset.validation, ours.dataset.test):
            list(split.images.split(16))


def test_reading_ahead_is_as_set(streamed):
    images = streamed.dataset.train.images
    assert images._reading == Reading(2, 2) and replace(images._reading, workers=0).workers == 0


def test_workers_end_with_a_cycle_that_holds_the_images(streamed):
    """Collected together with their queues, they would be waited for in vain: 5 s each."""
    images = streamed.dataset.train.images.subset(torch.arange(8))
    images.announce(torch.arange(8).split(4))
    workers, images.cycle = images._batches._workers, images
    started = time.monotonic()
    del images
    gc.collect()
    assert time.monotonic() - started < 4 and not any(worker.is_alive() for worker in workers)


def test_warnings_of_the_decoder_are_not_told(tmp_path, monkeypatch, recwarn):
    def warned(*_):
        warnings.warn("Corrupt EXIF data", stacklevel=1)
        return np.zeros((1, 2, 2), np.uint8)

    monkeypatch.setattr(stream, "decode", warned)
    assert not stream.Files([tmp_path / "a.png"], (1, 2, 2), None, None)[[0]].any() and not recwarn.list

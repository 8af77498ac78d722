import json

import numpy as np
import pytest
import torch

from autotricks.data import Settings, load
from autotricks.errors import DataError

from .pictures import folder, noise, save


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """120 gray images of 3 classes, 60, 40 and 20, no two alike."""
    path = tmp_path_factory.mktemp("archive") / "x.npz"
    np.savez(path, x=noise(0, 120, 4, 4), y=np.repeat([0, 1, 2], [60, 40, 20]))
    return f"npz:{path}"


def rows(split):
    return {image.tobytes() for image in split.images.numpy()}


def test_the_default_is_a_small_long_tail_of_digits():
    loaded = load(Settings(imbalance=50))
    data, facts = loaded.dataset, loaded.facts
    assert {name: sum(counts) for name, counts in facts["counts"].items()} == {
        "train": 281, "validation": 337, "test": 451}
    assert facts["counts"]["train"] == data.counts.tolist() == [100, 66, 43, 27, 18, 11, 7, 4, 3, 2]
    assert facts["imbalance"] == 50 and facts["image_shape"] == [1, 8, 8]
    assert data.classes == tuple("0123456789") and data.source == "digits"
    # written down once: the same on every machine, with every version of NumPy and torch
    assert data.fingerprint == "d3a38b9b14e7b90e3a45c75b1f1e518c495e85798f6e101f3ab5c5ab4146d0fe"


def test_splits_are_stratified_disjoint_and_whole(archive):
    data = load(Settings(archive, validation=0.25, test=0.2)).dataset
    counts = {name: torch.bincount(split.targets.single).tolist()
              for name, split in (("train", data.train), ("validation", data.validation), ("test", data.test))}
    assert counts == {"train": [36, 24, 12], "validation": [12, 8, 4], "test": [12, 8, 4]}
    parts = [rows(data.train), rows(data.validation), rows(data.test)]
    assert len(set.union(*parts)) == sum(len(part) for part in parts) == 120
    whole = noise(0, 120, 4, 4)
    label = {image.tobytes(): number for image, number in zip(whole, np.repeat([0, 1, 2], [60, 40, 20]))}
    for split in (data.train, data.validation, data.test):
        assert [label[image.tobytes()] for image in split.images.numpy()] == split.targets.single.tolist()


def test_test_and_validation_do_not_depend_on_the_imbalance_nor_test_on_validation(archive):
    base, tail, other = (load(Settings(archive, **changed)).dataset
                         for changed in ({}, {"imbalance": 10}, {"validation": 0.5}))
    assert torch.equal(base.test.images, tail.test.images) and torch.equal(base.test.images, other.test.images)
    assert torch.equal(base.validation.images, tail.validation.images)
    assert rows(tail.train) < rows(base.train) and tail.counts.tolist() == [34, 10, 3]  # 34 / sqrt(10) = 10.75


def test_the_seed_decides_the_splits_and_the_fingerprint(archive):
    prints = [load(Settings(archive, seed=seed)).facts["fingerprint"] for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_the_fingerprint_changes_with_one_pixel(tmp_path, archive):
    x = noise(0, 120, 4, 4)
    x[77, 3, 3] ^= 1
    np.savez(tmp_path / "x.npz", x=x, y=np.repeat([0, 1, 2], [60, 40, 20]))
    assert load(Settings(f"npz:{tmp_path}/x.npz")).facts["fingerprint"] != load(Settings(archive)).facts["fingerprint"]


def test_mean_and_deviation_are_those_of_the_long_tailed_training_split(archive):
    data = load(Settings(archive, imbalance=10)).dataset
    pixels = data.train.images.double() / 255
    assert data.mean == pytest.approx([pixels.mean().item()])
    assert data.std == pytest.approx([pixels.std(correction=0).item()])


def test_splits_that_the_source_brings_are_kept(tmp_path):
    folder(tmp_path / "train", {"a": 8, "b": 8}, seed=1)
    folder(tmp_path / "test", {"a": 2, "b": 3}, seed=2)
    loaded = load(Settings(f"image_folder:{tmp_path}", validation=0.25))
    assert loaded.facts["counts"] == {"train": [6, 6], "validation": [2, 2], "test": [2, 3]}
    assert loaded.facts["duplicates"] == {"train_test": 0, "train_validation": 0}
    assert (loaded.dataset.test.images[0].numpy() == noise(2000, 6, 6, 3).transpose(2, 0, 1)).all()


def test_equal_pictures_across_splits_are_counted(tmp_path):
    x = noise(0, 6, 4, 4)
    np.savez(tmp_path / "x.npz", x_train=x[:4], y_train=[0, 0, 1, 1], x_val=x[[4, 0]], y_val=[0, 1],
             x_test=x[[1, 2, 2, 5]], y_test=[0, 1, 1, 1])
    assert load(Settings(f"npz:{tmp_path}/x.npz")).facts["duplicates"] == {"train_test": 3, "train_validation": 1}


def test_images_in_two_splits_can_be_dropped_from_the_one_that_is_read_first(tmp_path):
    x = noise(0, 12, 4, 4)
    train, validation, test = [0, 1, 2, 3, 3], [0, 4, 5, 8], [1, 4, 6, 7]
    np.savez(tmp_path / "x.npz", x_train=x[train], y_train=[0, 0, 0, 1, 1], x_val=x[validation], y_val=[1, 0, 1, 0],
             x_test=x[test], y_test=[0, 0, 1, 1])
    kept, dropped = (load(Settings(f"npz:{tmp_path}/x.npz", duplicates=word)) for word in ("keep", "drop"))
    assert kept.facts["duplicates"] == {"train_test": 1, "train_validation": 1} and kept.facts["dropped"] == {}
    assert kept.facts["two_labels"] == 2                                       # image 0 is a 0 and a 1
    assert dropped.facts["duplicates"] == {"train_test": 0, "train_validation": 0}
    assert dropped.facts["dropped"] == {"train": 2, "validation": 1} and dropped.facts["two_labels"] == 0
    assert (dropped.dataset.train.images[:, 0].numpy() == x[[2, 3, 3]]).all()  # equal within a split: both stay
    assert (dropped.dataset.validation.images[:, 0].numpy() == x[[0, 5, 8]]).all()
    assert dropped.dataset.train.targets.single.tolist() == [0, 1, 1]
    assert torch.equal(dropped.dataset.test.images, kept.dataset.test.images)


def test_dropping_comes_before_the_long_tail_and_a_class_that_is_lost_is_refused(tmp_path):
    x = noise(0, 60, 4, 4)
    whole = {"x_train": x[:40], "y_train": [0] * 20 + [1] * 20, "x_val": x[40:44], "y_val": [0, 1] * 2}
    np.savez(tmp_path / "x.npz", **whole, x_test=np.concatenate([x[:10], x[50:]]), y_test=[0] * 10 + [0, 1] * 5)
    tail = load(Settings(f"npz:{tmp_path}/x.npz", duplicates="drop", imbalance=4))
    assert tail.dataset.counts.tolist() == [10, 5] and tail.facts["dropped"] == {"train": 10, "validation": 0}  # 20 / 4
    np.savez(tmp_path / "y.npz", **whole, x_test=x[:20], y_test=[0, 1] * 10)
    with pytest.raises(DataError, match=r"^data\.duplicates: drop leaves 1 of the classes without train images"):
        load(Settings(f"npz:{tmp_path}/y.npz", duplicates="drop"))


def test_facts_can_be_written_as_json_and_list_what_was_left_out(tmp_path):
    root = folder(tmp_path / "spaces and ünïcode", {"a": 10, "b c": 10})
    save(root / "a" / "short.png", noise(1, 6, 6, 3))
    data = (root / "a" / "short.png").read_bytes()
    (root / "a" / "short.png").write_bytes(data[:60])
    facts = json.loads(json.dumps(load(Settings(f"image_folder:{root}", max_bad=0.05)).facts))
    assert facts["bad"] == [{"path": str(root / "a" / "short.png"), "reason": facts["bad"][0]["reason"]}]
    assert facts["bad"][0]["reason"].startswith("damaged: ")
    assert facts["classes"] == ["a", "b c"] and facts["seconds"] > 0
    assert set(facts) == {"source", "fingerprint", "classes", "counts", "imbalance", "image_shape", "mean", "std",
                          "duplicates", "dropped", "two_labels", "bad", "skipped", "seconds", "streamed", "origin",
                          "notices", "task", "split_images"}
    assert facts["split_images"] == {split: sum(counts) for split, counts in facts["counts"].items()}


@pytest.mark.parametrize(("arrays", "settings", "message"), [
    ({"x": noise(0, 4, 3, 3), "y": [0, 0, 0, 0]}, {}, "data.source: every training image is of class '0'"),
    ({"x": noise(0, 4, 3, 3), "y": [0, 0, 1, 1]}, {}, "data.source: too few images to split off test and validation in "
                                                      "classes '0' (2), '1' (2); each class needs 3"),
    ({"x": noise(0, 8, 3, 3), "y": [0, 1] * 4}, {"imbalance": 100}, "data.imbalance: 100 leaves"),
    ({"x_train": noise(0, 8, 3, 3), "y_train": [0, 1] * 4, "x_test": noise(0, 2, 5, 5), "y_test": [0, 1]}, {},
     "data.size: the splits have images of different shapes"),
    ({"x_train": noise(0, 8, 3, 3), "y_train": [0, 1] * 4, "x_test": noise(0, 2, 3, 3), "y_test": [0, 2]}, {},
     "data.source: the classes of test and train differ: test has '2'")])
def test_refuses(tmp_path, arrays, settings, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError) as caught:
        load(Settings(f"npz:{tmp_path}/x.npz", **settings))
    assert str(caught.value).startswith(message)


def test_a_class_of_which_no_file_can_be_read(tmp_path):
    folder(tmp_path, {"a": 5, "b": 5, "c": 1})
    (tmp_path / "c" / "000.png").write_text("no picture")
    with pytest.raises(DataError, match="no training images that can be read in class 'c'"):
        load(Settings(f"image_folder:{tmp_path}", max_bad=0.2))


def test_joined_trains_on_validation_too_and_leaves_test_as_it_was(archive):
    apart, joined = load(Settings(archive)).dataset, load(Settings(archive), joined=True).dataset
    assert rows(joined.train) == rows(apart.train) | rows(apart.validation) and len(joined.train) == 90
    assert torch.equal(joined.test.images, apart.test.images)
    assert torch.equal(joined.validation.images, apart.test.images)
    assert joined.fingerprint != apart.fingerprint


def test_joined_takes_the_validation_images_that_the_source_brings(tmp_path):
    x = noise(0, 60, 4, 4)
    y = np.tile([0, 1], 30)
    np.savez(tmp_path / "x.npz", x_train=x[:30], y_train=y[:30], x_val=x[30:40], y_val=y[30:40], x_test=x[40:],
             y_test=y[40:])
    joined = load(Settings(f"npz:{tmp_path}/x.npz"), joined=True).dataset
    assert np.array_equal(joined.train.images[:, 0].numpy(), x[:40])
    assert joined.train.targets.single.tolist() == y[:40].tolist()
    assert np.array_equal(joined.validation.images[:, 0].numpy(), x[40:])
    whole = load(Settings(f"npz:{tmp_path}/x.npz"), whole=True).dataset
    assert len(whole.train) == 30       # published tables are made without


def test_joined_parts_of_different_shapes_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=noise(0, 8, 4, 4), y_train=[0, 1] * 4, x_val=noise(0, 4, 5, 5),
             y_val=[0, 1] * 2)
    with pytest.raises(DataError, match=r"data\.size: train has images of shape \(1, 4, 4\) .* validation \(1, 5, 5\)"):
        load(Settings(f"npz:{tmp_path}/x.npz"), joined=True)

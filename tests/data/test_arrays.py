"""npz, torchvision and the user's own code."""
import pickle
import zipfile
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from autotricks.data import Settings, shape_of
from autotricks.data.sources import read
from autotricks.errors import DataError

from .pictures import names, noise


def npz(path, **arrays):
    np.savez(path / "x.npz", **arrays)
    return f"npz:{path}/x.npz"


def refused(source, trust=False, **settings):
    with pytest.raises(DataError) as caught:
        read(Settings(source, **settings), trust)
    assert str(caught.value).startswith("data.source: ") and len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_an_archive_with_splits_and_class_names(tmp_path):
    x = noise(0, 5, 4, 6, 3)
    raw = read(Settings(npz(tmp_path, x_train=x[:3], y_train=[1, 0, 1], x_val=x[3:4], y_val=[0], x_test=x[4:],
                            y_test=[1], classes=["zebra", "ant"])))
    assert raw.classes == ("zebra", "ant")
    assert {name: list(names(part)) for name, part in raw.parts.items()} == {
        "train": ["ant", "zebra", "ant"], "validation": ["zebra"], "test": ["ant"]}
    assert (raw.parts["train"].images.numpy() == x[:3].transpose(0, 3, 1, 2)).all()
    assert raw.parts["train"].images.is_contiguous()


@pytest.mark.parametrize(("labels", "names"), [([10, 9, 9], ["10", "9", "9"]), (["b", " a", "a"], ["b", "a", "a"]),
                                               (np.array([b"b", b"a", b"a"]), ["b", "a", "a"])])
def test_gray_archives_and_kinds_of_labels(tmp_path, labels, names):
    x = noise(0, 3, 4, 6)
    part = read(Settings(npz(tmp_path, x=x, y=labels))).parts["train"]
    assert [label for label, in part.labels] == names and (part.images.numpy() == x[:, None]).all()


def test_an_archive_resized_and_gray(tmp_path):
    x = np.full((2, 8, 8, 3), (200, 100, 50), np.uint8)
    part = read(Settings(npz(tmp_path, x=x, y=[0, 1]), size=4, channels=1)).parts["train"]
    assert part.images.shape == (2, 1, 4, 4) and (part.images == 124).all()


@pytest.mark.parametrize(("arrays", "message"), [
    ({"x_train": noise(0, 2, 3, 3)}, "has no y_train; it holds x_train"),
    ({"a": noise(0, 2, 3, 3)}, "has no x_train; it holds a [2, 3, 3]. Needed are x_train and y_train, or x and y, or "),
    ({"train_images": noise(0, 2, 3, 3), "val_labels": [0]}, "has no train_labels; it holds train_images [2, 3, 3], "),
    ({"x_train": noise(0, 2, 3, 3), "train_images": noise(0, 2, 3, 3), "y": [0, 1]},
     "holds x_train and train_images, both of train"),
    ({"x_test": noise(0, 2, 3, 3), "y_test": [0, 1]}, "has no x_train"),
    ({"x": noise(0, 2, 3, 3) / 255 - 0.5, "y": [0, 1]}, "0 to 65535 is needed. Undo the normalization"),
    ({"x": np.full((2, 3, 3), np.nan), "y": [0, 1]}, "the images are float64 from nan to nan; 0 to 1, 0 to 255 or"),
    ({"x": np.full((2, 3, 3), 7e4), "y": [0, 1]}, "the images are float64 from 70000 to 70000; 0 to 1"),
    ({"x": np.eye(3, dtype=int)[None], "y": [0]}, "the images are int64 from 0 to 1: whole numbers that leave every"),
    ({"x": np.array([[["a"]]]), "y": [0]}, "the images are <U1; numbers of one kind"),
    ({"x": noise(0, 2, 3, 3), "y": [0, 1], "x_test": noise(0, 2, 3, 3) / 255, "y_test": [0, 1]},
     "the images are float64 and uint8; numbers of one kind"),
    ({"x": noise(0, 2, 4, 8, 8), "y": [0, 1]}, "[2, 4, 8, 8]; [N, H, W], [N, H, W, 1], [N, H, W, 3] or [N, D, H, W]"),
    ({"x": noise(0, 2, 3, 8, 8, 8), "y": [0, 1]}, "[2, 3, 8, 8, 8]"),
    ({"x": noise(0, 2, 8, 8, 4), "y": [0, 1]}, "[2, 8, 8, 4]"), ({"x": np.uint8(3), "y": [0, 1]}, "has 0 images"),
    ({"x": noise(0, 0, 3, 3), "y": np.zeros(0, int)}, "[0, 3, 3, 1]"),
    ({"x": noise(0, 2, 3, 3), "y": [0, 1, 1]}, "train has 2 images and labels of shape [3]"),
    ({"x": noise(0, 2, 3, 3), "y": [[0, 1], [2, 0]]}, "are of shape [2, 2] and hold other than 0 and 1"),
    ({"x": noise(0, 2, 3, 3), "y": [[0.5, 0.5], [1, 0]]}, "are of shape [2, 2] and hold other than 0 and 1"),
    ({"x": noise(0, 2, 3, 3), "y": [[0, 1]]}, "labels of shape [1, 2]; [2], or [2, C] of 0 and 1, is needed"),
    ({"x": noise(0, 2, 3, 3), "y": [[0, 1], [1, 0]], "classes": ["a", "b", "c"]}, "[2, 2]; classes has 3 names"),
    ({"x": noise(0, 2, 3, 3), "y": [0.0, 1.0]}, "the labels of train are float64"),
    ({"x": noise(0, 2, 3, 3), "y": [0, 2], "classes": ["a", "b"]}, "train has the label '2'; classes has 2 names"),
    ({"x": noise(0, 2, 3, 3), "y": [0, -1], "classes": ["a", "b"]}, "train has the label '-1'"),
    ({"x": noise(0, 2, 3, 3), "y": ["a", "c"], "classes": ["a", "b"]}, "train has the label 'c'"),
    ({"x": noise(0, 2, 3, 3), "y": [0, 1], "classes": ["a", "a"]}, "two of the names in classes are the same"),
    ({"x": np.array([{}, {}]), "y": [0, 1]}, "x is a pickled array, which can run code")])
def test_errors_of_archives(tmp_path, arrays, message):
    assert message in refused(npz(tmp_path, **arrays))


@pytest.mark.parametrize(("images", "expected", "said"), [
    (np.array([0, 0.5, 0.2, 1]), [0, 128, 51, 255], "float64 from 0 to 1; they were multiplied by 255"),
    (np.array([0, 1.4, 1.5, 255], np.float32), [0, 1, 2, 255], "float32 from 0 to 255; they were rounded"),
    (np.array([0, 129, 32896, 65535], np.uint16), [0, 1, 128, 255], "uint16 from 0 to 65535; they were divided by 257"),
    (np.array([0, 257, 514, 2570]), [0, 1, 2, 10], "divided by 257, which leaves them nearly black; scale them first"),
    (np.array([0, 7, 200, 3]), [0, 7, 200, 3], "int64 from 0 to 200; they were rounded"),
    (np.array([False, True, True, False]), [0, 255, 255, 0], "bool from 0 to 1; they were multiplied by 255")])
def test_numbers_become_bytes_and_that_is_told(tmp_path, images, expected, said):
    raw = read(Settings(npz(tmp_path, x=images.reshape(2, 1, 2), y=[0, 1])))
    assert raw.parts["train"].images.flatten().tolist() == expected
    assert len(raw.notices) == 1 and said in raw.notices[0]


def test_all_splits_are_on_one_scale(tmp_path):
    """A test split that happens to stay below 1 is not blown up where another shows that 255 is the top."""
    raw = read(Settings(npz(tmp_path, x=np.full((2, 1, 1), 255.0), y=[0, 1], x_test=np.full((2, 1, 1), 1.0),
                            y_test=[0, 1])))
    assert raw.parts["test"].images.flatten().tolist() == [1, 1] and raw.parts["train"].images.flatten().tolist() == [
        255, 255]


def test_channels_first(tmp_path):
    x = noise(0, 2, 3, 5, 4)
    source = npz(tmp_path, x=x, y=[0, 1])
    assert (read(Settings(source)).parts["train"].images.numpy() == x).all() and shape_of(Settings(source)) == (3, 5, 4)
    source = npz(tmp_path, X_train=x[:, :1], y_train=[0, 1])
    assert (read(Settings(source)).parts["train"].images.numpy() == x[:, :1]).all()
    assert shape_of(Settings(source)) == (1, 5, 4)
    last = npz(tmp_path, x=noise(0, 2, 3, 5, 3), y=[0, 1])     # 3 high: channels are taken to be last
    assert shape_of(Settings(last)) == (3, 3, 5)


def test_medmnist(tmp_path):
    """As its files hold them: labels [N, 1]; of ChestMNIST [N, 14], of which an image may have any number."""
    x = noise(0, 6, 28, 28)
    names = {f"{split}_{what}": values for split, rows in (("train", [0, 1, 2]), ("val", [3, 4]), ("test", [5]))
             for what, values in (("images", x[rows]), ("labels", np.array([[2], [0], [1], [0], [2], [1]])[rows]))}
    raw = read(Settings(npz(tmp_path, **names)))
    assert {split: part.labels for split, part in raw.parts.items()} == {
        "train": [("2",), ("0",), ("1",)], "validation": [("0",), ("2",)], "test": [("1",)]}
    assert (raw.parts["test"].images.numpy() == x[5:, None]).all() and raw.notices == ()
    flags = np.zeros((6, 14), np.uint8)
    flags[[0, 0, 1, 4], [3, 13, 3, 0]] = 1
    names |= {f"{split}_labels": flags[rows] for split, rows in (("train", [0, 1, 2]), ("val", [3, 4]), ("test", [5]))}
    raw = read(Settings(npz(tmp_path, **names)))
    assert [part.labels for part in raw.parts.values()] == [[("3", "13"), ("3",), ()], [(), ("0",)], [()]]


def test_one_hot_labels_are_one_each(tmp_path):
    flags = np.eye(3)[[2, 0, 1, 2]]
    source = npz(tmp_path, x=noise(0, 4, 3, 3), y=flags, classes=["ant", "bee", "fly"])
    assert read(Settings(source)).parts["train"].labels == [("fly",), ("ant",), ("bee",), ("fly",)]


def test_damaged_archives(tmp_path):
    source = npz(tmp_path, x=noise(0, 50, 9, 9), y=np.arange(50) % 2)
    whole = (tmp_path / "x.npz").read_bytes()
    for data in (b"", whole[:len(whole) // 2], whole[:300] + b"\xff" + whole[301:], b"text", pickle.dumps([1])):
        (tmp_path / "x.npz").write_bytes(data)
        assert "is not a NumPy archive that can be read" in refused(source)


MODULE = """
import numpy as np, torch
x = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
def pair(): return x, [0, 1, 0, 1]
def triple(): return torch.from_numpy(x), ["b", "a", "b", "b"], ["b", "a"]
def fails(): return x[99]
def wrong(): return [x]
def ragged(): return [[1], [1, 2]], [0, 1]
value = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_pictures.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_pictures"


def test_own_code(own):
    raw = read(Settings(f"{own}:pair"), trust=True)
    assert names(raw.parts["train"]) == ["0", "1", "0", "1"] and raw.classes is None
    assert raw.parts["train"].images.tolist() == [[row] for row in torch.arange(24).reshape(4, 2, 3).tolist()]
    raw = read(Settings(f"{own}:triple"), trust=True)
    assert names(raw.parts["train"]) == ["b", "a", "b", "b"] and raw.classes == ("b", "a")


@pytest.mark.parametrize(("function", "message"), [
    ("fails", "failed: IndexError"), ("wrong", "returned list; (images, labels)"), ("value", "failed: TypeError"),
    ("missing", "cannot be imported"), ("ragged", "is no array")])
def test_errors_of_own_code(own, function, message):
    assert message in refused(f"{own}:{function}", trust=True)
    assert "allow it with --trust" in refused(f"{own}:{function}")


class Pictures:
    """Like a data set of torchvision with a `train` option; row 1 of test is damaged."""

    classes = ["sun", "moon"]

    def __init__(self, root, train=True, download=False):
        assert download and str(root).endswith("some/where")
        self.train = train

    def __len__(self):
        return 3

    def __getitem__(self, row):
        if not self.train and row == 1:
            raise OSError("image file is truncated")
        return Image.fromarray(noise(row + 10 * self.train, 4, 4, 3)), torch.tensor((row + 1) % 2)


class Folds(Pictures):
    """Like one with a `split` option, without validation."""

    def __init__(self, root, split="train", download=False):
        if split not in ("train", "test"):
            raise ValueError(f"Unknown value {split!r}")
        super().__init__(root, split == "train", download)


class Offline(Pictures):
    def __init__(self, root, train=True, download=False):
        raise URLError("Name or service not known")


class Boxes(Pictures):
    def __getitem__(self, row):
        return Image.new("RGB", (4, 4)), {"boxes": [1, 2, 3, 4]}


class Strange(Pictures):
    def __getitem__(self, row):
        return Image.new("RGB", (4, 4)), 2 - 3 * (row % 2)      # of the classes 0 and 1


class Damaged(Pictures):
    def __init__(self, root, train, download):
        raise AssertionError


class HalfDamaged(Pictures):
    def __init__(self, root, train, download):
        super().__init__(root, train, download)
        if not train:
            int("")


@pytest.fixture
def torchvision_has(monkeypatch):
    from torchvision import datasets

    return lambda made: monkeypatch.setattr(datasets, "CIFAR10", made)


@pytest.mark.parametrize("made", [Pictures, Folds])
def test_torchvision(torchvision_has, made):
    torchvision_has(made)
    raw = read(Settings("torchvision:CIFAR10:some/where", max_bad=0.2))
    assert {name: list(names(part)) for name, part in raw.parts.items()} == {
        "train": ["moon", "sun", "moon"], "test": ["moon", "moon"]}
    assert raw.classes == ("sun", "moon")
    assert (raw.parts["test"].images[1].numpy() == noise(2, 4, 4, 3).transpose(2, 0, 1)).all()
    assert [(file.path, file.reason) for file in raw.bad] == [("test[1]", "damaged: image file is truncated")]


def test_errors_of_torchvision(torchvision_has):
    assert "Did you mean torchvision:CIFAR10?" in refused("torchvision:cifar-10")
    torchvision_has(Pictures)
    assert "1 of 6 files cannot be read" in refused("torchvision:CIFAR10:some/where")
    torchvision_has(Offline)
    assert "nor downloaded to it (<urlopen error Name or service not known>). Mend or remove the files" in refused(
        "torchvision:CIFAR10:some/where")
    torchvision_has(Strange)
    assert "train[0] (label 2, where there are 2 classes); train[1] (label -1, where" in refused(
        "torchvision:CIFAR10:some/where")
    torchvision_has(Damaged)
    assert "can neither be read from some/where nor downloaded to it (AssertionError)." in refused(
        "torchvision:CIFAR10:some/where")
    torchvision_has(HalfDamaged)
    assert "has no test split that can be read: invalid literal" in refused("torchvision:CIFAR10:some/where")
    assert "torchvision has no data set 'VisionDataset'" in refused("torchvision:VisionDataset")
    torchvision_has(Boxes)
    assert "has Image and dict; images with one whole-number label each are needed" in refused(
        "torchvision:CIFAR10:some/where")


@pytest.mark.parametrize("name", ["x_train", "y_train", "classes"])
def test_an_archive_that_says_it_holds_more_than_memory_is_refused_unread(tmp_path, name):
    """A few hundred bytes whose header promises eight terabytes, be it of images, labels or names."""
    arrays = {"x_train": np.zeros((4, 8, 8), np.uint8), "y_train": np.arange(4), "classes": np.arange(4)}
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w") as file:
                if key == name:
                    np.lib.format.write_array_header_1_0(file, {
                        "descr": "<i8", "fortran_order": False, "shape": (2**40,)})
                else:
                    np.lib.format.write_array(file, array)
    with pytest.raises(DataError, match="of memory"):
        read(Settings(f"npz:{tmp_path}/bomb.npz"))

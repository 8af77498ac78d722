"""Sources that are damaged, or made to harm: one line that says what is wrong, before memory or time are spent."""
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autotricks.data import Settings, load, survey
from autotricks.data.sources import npz, shape_of
from autotricks.errors import DataError

from .pictures import folder, noise, save

X, Y = noise(0, 12, 4, 4), np.arange(12) % 2


def refused(source, **options):
    """Return the one line with which both training and `data check` refuse a source."""
    lines = []
    for attempt in (load, survey):
        with pytest.raises(DataError) as error:
            attempt(Settings(source, **options))
        lines += error.value.problems
    assert lines[0] == lines[1] and len(lines[0].splitlines()) == len(lines) - 1 == 1
    return lines[0]


def archive(path, **arrays):
    np.savez(path / "a.npz", **arrays)
    return f"npz:{path / 'a.npz'}"


def npy(values):
    store = io.BytesIO()
    np.save(store, values)
    return store.getvalue()


def header(words):
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(words)) + words.encode()


def zipped(path, members, mode=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path / "a.npz", "w", mode) as store:
        for name, content in members.items():
            store.writestr(name, content)
    return f"npz:{path / 'a.npz'}"


def spelled(shape):
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")


@pytest.mark.parametrize("member, content, words", [
    ("x", npy(X), "x is there twice, or is no .npy file"),     # beside x.npy, whose header was the one looked at
    ("x_test.npy", spelled("(-9999999, 4, 4)"), "x_test.npy is of shape (-9999999, 4, 4)"),
    ("x_test.npy", spelled("(True, 8)"), "x_test.npy is of shape (True, 8)"),
    ("x_test.npy", header("{'descr': ("), "EOF in multi-line statement"),
    ("x_test.npy", header("(" * 900), "is not a NumPy archive that can be read"),
    ("x_test.npy", header(" " * 60000), "may not be safe to load securely")])
def test_headers(tmp_path, member, content, words):
    members = {"x.npy": npy(X), "y.npy": npy(Y)}
    assert words in refused(zipped(tmp_path, {member: content, **members}))


def test_damaged_and_encrypted_archives(tmp_path):
    members = {"x.npy": npy(X), "y.npy": npy(Y)}
    place = tmp_path / "a.npz"
    source = zipped(tmp_path, members, zipfile.ZIP_LZMA)
    content = bytearray(place.read_bytes())
    content[60:120] = b"\x55" * 60
    place.write_bytes(content)
    assert "is not a NumPy archive that can be read" in refused(source)
    zipped(tmp_path, members)
    content = bytearray(place.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := content.find(mark, at + 1)) >= 0:
            content[at + flags] |= 1
    place.write_bytes(content)
    assert "is encrypted" in refused(source)


@pytest.mark.parametrize("arrays, words", [
    ({"classes": np.array("a")}, "classes is of shape []; [C]"),
    ({"classes": np.array([], "U1")}, "classes is of shape [0]; [C]"),
    ({"classes": np.array([["a", "b"], ["c", "d"]])}, "classes is of shape [2, 2]; [C]"),
    ({"classes": np.array(["a", " "])}, "one of the names in classes is empty"),
    ({"x_train": X, "y_train": Y}, "holds x and x_train, both of train"),
    ({"x_val": X, "y_val": Y, "x_valid": X, "y_valid": Y}, "holds x_val and x_valid, both of validation")])
def test_arrays(tmp_path, arrays, words):
    assert words in refused(archive(tmp_path, x=X, y=Y, **arrays))


def test_names_of_bytes(tmp_path):
    source = archive(tmp_path, x=X, y=Y, classes=np.array([b"cat", b"dog"]))
    assert load(Settings(source)).dataset.classes == ("cat", "dog")
    source = archive(tmp_path, x=X, y=np.array([b"caf\xe9", b"caf\xe8"] * 6))
    assert load(Settings(source)).dataset.classes == (r"caf\xe8", r"caf\xe9")
    source = archive(tmp_path, x=X, y=np.array(["é".encode(), b"e"] * 6))
    assert load(Settings(source)).dataset.classes == ("e", "é")


def test_gray_becomes_color_where_another_split_is_color(tmp_path):
    color = noise(1, 12, 4, 4, 3)
    source = archive(tmp_path, x=X, y=Y, x_val=color, y_val=Y)
    loaded, found = load(Settings(source)), survey(Settings(source))
    assert found["usable"] and shape_of(Settings(source)) == (3, 4, 4) == loaded.dataset.image_shape
    assert (loaded.dataset.validation.images.numpy() == color.transpose(0, 3, 1, 2)).all()
    train = loaded.dataset.train.images
    assert (train == train[:, :1]).all() and {image.tobytes() for image in train[:, 0].numpy()} <= {
        image.tobytes() for image in X}


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_pipes_are_not_waited_for(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is not a regular file" in refused(f"{kind}:{tmp_path}/pipe")
    assert npz.shape(f"{tmp_path}/pipe") is None


def test_a_field_without_end(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\na.png,x\n" + "x" * 200_000 + ",y\n")
    assert "a.csv:3: no line of a table: field larger than field limit (131072)" in refused(f"csv:{tmp_path}/a.csv")


def test_labels_stay_apart(tmp_path):
    rows = []
    for row in range(12):
        save(tmp_path / f"{row}.png", noise(row, 4, 4))
        rows.append((f"{row}.png", ("x\x1b", r"x\x1b", "1" * 5000, "2" * 5000)[row % 4]))
    (tmp_path / "a.csv").write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    assert load(Settings(f"csv:{tmp_path}/a.csv")).dataset.classes == (
        "1" * 5000, "2" * 5000, r"x\\x1b", r"x\x1b")


def test_a_name_stays_one_short_line(tmp_path):
    line = refused(f"image_folder:{tmp_path}/a\x1b[31m\nb{'c' * 5000}")
    assert r"a\x1b[31m\nb" in line and len(line) < 1000
    folder(tmp_path / "x\ny", {"test": 1})
    assert r"x\ny has test but no train folder" in refused(f"image_folder:{tmp_path}/x\ny")


@pytest.mark.parametrize("source", ["https://u:hunter2@host/imgs", "image_folder:s3://u:hunter2@host/imgs"])
def test_a_password_is_not_said(source):
    line = refused(source)
    assert "hunter2" not in line and "is an address; images are read from files" in line


def test_links_that_lead_nowhere(tmp_path):
    folder(tmp_path, {"a": 6, "b": 6})
    (tmp_path / "long").symlink_to("c" * 300)
    (tmp_path / "loop").symlink_to("loop")
    found = survey(Settings(f"image_folder:{tmp_path}"))
    assert found["usable"] and {one["path"] for one in found["skipped"]} == {f"{tmp_path}/long", f"{tmp_path}/loop"}


def test_a_size_that_memory_does_not_hold(tmp_path, monkeypatch):
    folder(tmp_path, {"a": 6, "b": 6})
    monkeypatch.setattr("autotricks.data.memory.available", lambda: 2**30)
    with pytest.raises(DataError, match=r"50000 x 50000 x 3 need about .* Set data.size to 13377 or less"):
        load(Settings(f"image_folder:{tmp_path}", size=50_000))


def test_memory_that_ends_while_an_image_is_resized(tmp_path, monkeypatch):
    def none(*_):
        raise MemoryError

    folder(tmp_path, {"a": 6, "b": 6})
    monkeypatch.setattr("PIL.Image.Image.resize", none)
    with pytest.raises(DataError, match=r"data\.size: memory does not hold one image of 50 x 50"):
        load(Settings(f"image_folder:{tmp_path}", size=50))


def test_a_folder_without_permission(tmp_path, monkeypatch):
    folder(tmp_path, {"a": 6, "b": 6})
    stat = Path.stat

    def closed(path, **options):
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", closed)
    assert refused(f"image_folder:{tmp_path}") == f"data.source: {tmp_path}/b: Permission denied."

"""Files come whole or not at all, and what cannot be written is said in one line with its name."""
import errno
import os
import subprocess

import pytest

from autotricks import export
from autotricks.errors import DiskError, RunError
from autotricks.io.files import ensure_folder, write_atomic


def failing(number):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))
    return fail


@pytest.mark.parametrize(("number", "kind", "said"), [
    (errno.ENOSPC, DiskError, "no space left on device. Make room"),
    (errno.EDQUOT, DiskError, "disk quota exceeded. Make"), (errno.EIO, DiskError, "input/output error. Make"),
    (errno.EACCES, RunError, "cannot be written: permission denied. Name another place")])
def test_what_was_there_stays_and_nothing_is_added(tmp_path, monkeypatch, number, kind, said):
    path = tmp_path / "data.json"
    write_atomic(path, b"before")
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(kind) as caught:
        write_atomic(path, b"after")
    assert str(caught.value).startswith(f"{path}: {said}") and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"before"


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "data.json", b"after")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_made_is_empty(tmp_path):
    assert ensure_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b" == ensure_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(("place", "why"), [("file", "file exists"), ("file/below", "not a directory")])
def test_folder_that_cannot_be_made(tmp_path, place, why):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError) as caught:
        ensure_folder(tmp_path / place)
    assert caught.value.problems == (
        f"{tmp_path / place}: cannot be written: {why}. Name another place, or mend this one.",)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def full(tmp_path):
    """A file system on which there is room for names, and for nothing in them."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=False,
                      capture_output=True).returncode:
        pytest.skip("only root may mount a file system; a failing fsync is tested above")
    with (place / "ballast").open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            os.write(file.fileno(), b"\0" * 4096)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_is_found_before_anything_is_done(full):
    for _ in range(2):
        with pytest.raises(DiskError, match=r"disk/out: no space left on device\. Make room"):
            ensure_folder(full / "out")
    assert list((full / "out").iterdir()) == []


def test_copy_to_a_full_disk_leaves_no_empty_bundle(full, tmp_path):
    export.write(tmp_path, {"name": "x", "classes": [], "images": {}, "model": {}, "training": {}, "tricks": {}},
                 b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(DiskError, match=r"disk/out: no space left on device"):
        export.copy(tmp_path, full / "out")
    assert list((full / "out").iterdir()) == []

"""Files are written whole or not at all, and whoever cannot write one says which and why."""
from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

from ..errors import DiskError, RunError

_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_TRIED = bytes(4096)    # a full file system still makes empty files


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Put into one line why a file or folder cannot be written: what the system raises often does not name it.

    Raises:
        DiskError: When the disk is full or fails.
        RunError: When nobody can write there.
    """
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        if error.errno in _FAILS:
            raise DiskError(f"{path}: {why}. Make room, then give the command again.") from error
        raise RunError(f"{path}: cannot be written: {why}. Name another place, or mend this one.") from error


def ensure_folder(folder: Path) -> Path:
    """Return a folder that is there and takes files; what is tried leaves nothing.

    Raises:
        DiskError: When the disk is full or fails.
        RunError: When it cannot be made or written to.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:
            probe.write(_TRIED)
            probe.flush()
            os.fsync(probe.fileno())
    return folder


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        DiskError: When the disk is full or fails.
        RunError: When nobody can write there.
    """
    partial = path.with_name(path.name + ".partial")
    with disk_errors(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise

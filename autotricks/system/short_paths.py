"""A short folder for sockets, whose paths the system cuts off: batch systems give jobs a `TMPDIR` that lies deep."""
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ResourceError

LONGEST = 103       # bytes of a socket's path: macOS; Linux takes 107
SHORT = ("/tmp", "/var/tmp", "/dev/shm")


def folder_for(tail: str) -> str:
    """Return the folder of temporary files, or a short one where a socket with this path below it would not fit.

    Raises:
        ResourceError: When no short folder can be written either.
    """
    usual = tempfile.gettempdir()
    if len(os.fsencode(os.path.join(usual, tail))) <= LONGEST:
        return usual
    found = next((name for name in SHORT if os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK)), None)
    if found is None:
        raise ResourceError(f"TMPDIR={usual}: processes talk through sockets there, whose paths may have {LONGEST} "
                            f"characters, and {' and '.join(SHORT)} cannot be written. Set TMPDIR to a folder whose "
                            f"path is shorter than {LONGEST - len(tail)} characters.")
    return found


@contextmanager
def temporary_files_in(folder: str) -> Iterator[None]:
    """Have Python's own temporary files made in a folder meanwhile."""
    before = tempfile.tempdir
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = before

"""A run's folder: its name, its lock, and what lies in it."""
from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any

from filelock import FileLock, Timeout

from ..errors import DiskError, RunError
from ..io.checksum import damaged, stamped
from ..io.files import disk_errors, write_atomic

SPACE = "space.yaml"
LEDGER = "trials.jsonl"
TABLE = "trials.csv"
AGAIN = "confirm.jsonl"     # the ledger of what was trained after the search
DATA = "data.json"
VERSIONS = "versions.json"
_LOCK = ".lock"
_OWNER = ".owner"


def create(root: Path, name: str) -> Path:
    """Make and return a new folder `root/NAME-DATE-NNN`; an old one is never written over."""
    date = time.strftime("%Y-%m-%d")
    for number in range(1, 10_000):
        folder = root / f"{name}-{date}-{number:03d}"
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror}. Choose another --root.") from None
    raise RunError(f"{root}: holds 9,999 runs called {name} of {date}. Tidy up, or choose another --root.")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder; the lock goes with the process.

    Raises:
        RunError: Saying who holds it.
        DiskError: When the disk fills up meanwhile.
    """
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        owner = (folder / _OWNER).read_text("utf-8") if (folder / _OWNER).exists() else "another process"
        raise RunError(f"{folder}: in use by {owner}. Wait for it, or stop it.") from None
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}.") from None
    try:
        with disk_errors(folder / _OWNER):
            (folder / _OWNER).write_text(
                f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}", "utf-8")
        yield
    except DiskError as error:
        raise DiskError(f"{error} What had finished is kept; a search goes on with: autotricks search --resume "
                        f"{quote(str(folder))}") from error
    finally:
        (folder / _OWNER).unlink(missing_ok=True)
        lock.release()


def find(name: str, root: Path) -> Path:
    """Return the folder of a run by its path or its name below `root`; `latest` is the newest.

    Raises:
        RunError: When there is none.
    """
    if name == "latest":
        runs = sorted((path.parent for path in root.glob(f"*/{SPACE}")), key=lambda path: path.stat().st_mtime)
        if runs:
            return runs[-1]
    for folder in (Path(name), root / name):
        if (folder / SPACE).exists():
            return folder
    known = ", ".join(sorted(path.parent.name for path in root.glob(f"*/{SPACE}"))[-3:])
    raise RunError(f"{name}: no run lies there. Runs in {root}: {known or 'none'}.")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON with its checksum, whole or not at all."""
    write_atomic(path, stamped((json.dumps(content, indent=1) + "\n").encode()))


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Return what a JSON file of a run's folder holds, after its checksum is verified.

    Raises:
        RunError: When it is missing, damaged, or lacks one of the keys.
    """
    again = "the command that made it (search --resume, confirm, ablate) makes it again."
    try:
        text = path.read_bytes()
        content = None if damaged(text) else json.loads(text)
    except FileNotFoundError:
        raise RunError(f"{path}: is missing. Restore it; or {again}") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. Restore it; or {again}") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise RunError(f"{path}: is damaged; it is not as it was written. Restore it; or delete it, and {again}")
    if any(key not in content for key in keys):
        raise RunError(f"{path}: is damaged; it lacks {' and '.join(keys)}. Restore it; or delete it, and {again}")
    content.pop("check", None)
    return content

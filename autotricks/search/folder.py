"""A run's folder: its name, its lock, and what lies in it."""
from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import RunError

SPACE, LEDGER, TABLE, DATA = "space.yaml", "trials.jsonl", "trials.csv", "data.json"
VERSIONS = "versions.json"
_LOCK, _OWNER = ".lock", ".owner"


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
        (folder / _OWNER).write_text(
            f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}", "utf-8")
        yield
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
    """Write JSON, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")
    partial.replace(path)

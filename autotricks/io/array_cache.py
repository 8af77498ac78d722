"""Arrays kept on this machine between processes: computed once, then mapped into memory."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

FOLDER = "AUTOTRICKS_CACHE"     # the variable that names the folder; without it, one in the user's cache
LARGEST = 8 * 2**30             # bytes that are kept; what was used longest ago goes first
SUFFIX = ".npy"


def folder() -> Path:
    """Return where arrays are kept."""
    named = os.environ.get(FOLDER)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "autotricks"


def kept(key: str, name: str, compute: Callable[[], Tensor]) -> Tensor:
    """Return an array that was kept under a key, on the CPU; computed, and kept from now on, where it was not.

    Processes that ask at the same time compute it once. Where nothing can be written, it is computed and not kept.

    Args:
        key: Of all that it follows from; empty keeps nothing.
        name: Of the array among those of its key.
        compute: Returns it.
    """
    if not key:
        return compute()
    path = folder() / f"{key[:32]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}{SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    except OSError:
        return compute()
    try:
        held = _mapped(path)
        if held is not None:
            return held
        value = compute().detach().cpu().contiguous()
        with suppress(OSError):
            _write(path, value)
        held = _mapped(path)
        return value if held is None else held
    finally:
        lock.release()


def _mapped(path: Path) -> Tensor | None:
    """Return a file's array, mapped into memory; None where it is not there or damaged."""
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        return None
    os.utime(path)
    return torch.from_numpy(array)


def _write(path: Path, value: Tensor) -> None:
    """Write a file, whole or not at all, after making room for it."""
    _make_room(path.parent, value.numel() * value.element_size())
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.save(file, value.numpy(), allow_pickle=False)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _make_room(where: Path, size: int) -> None:
    """Delete what was used longest ago until `size` bytes more may be kept."""
    files = sorted(where.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
    used = sum(path.stat().st_size for path in files)
    for path in files:
        if used + size <= LARGEST:
            return
        used -= path.stat().st_size
        path.unlink(missing_ok=True)

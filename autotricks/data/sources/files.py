"""Paths, and lists of image files with labels."""
from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError
from .. import decode
from ..labels import ordered
from ..settings import Settings
from .raw import Part, Raw, refuse_many, stacked

CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True)
class Entry:
    """One image file, the name of its label, its split, and its group if it has one."""

    path: Path
    name: str
    split: str
    group: str = ""


def existing(place: str) -> Path:
    """Return a path that exists.

    Raises:
        DataError: With the name beside it that is nearest.
    """
    try:
        path = Path(place).expanduser()
        path.stat()
        return path
    except (OSError, ValueError, RuntimeError):
        raise DataError(f"data.source: {place}: no such file or folder.{_near(place)}") from None


def hidden(name: str) -> bool:
    """Return whether a file or folder is one that systems leave behind, such as .DS_Store or Thumbs.db."""
    return name.startswith(".") or name.lower() in CLUTTER


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name, without hidden files.

    Raises:
        DataError: When it cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not hidden(path.name))
    except OSError as error:
        raise DataError(f"data.source: {folder}: {error.strerror or error}.") from error


def images_of(entries: Sequence[Entry], settings: Settings) -> Raw:
    """Decode image files.

    Raises:
        DataError: When too many are bad, their sizes differ, or memory does not hold them.
    """
    arrays, bad = decode.read([entry.path for entry in entries], settings.size, settings.channels)
    refuse_many(bad, len(entries), settings.max_bad)
    depth = max((array.shape[0] for array in arrays if array is not None), default=1)
    parts = {}
    for split in dict.fromkeys(entry.split for entry in entries):
        rows = [row for row, entry in enumerate(entries) if entry.split == split and arrays[row] is not None]
        if not rows:
            raise DataError(f"data.source: none of the {split} images can be read.")
        chosen = [array for row in rows if (array := arrays[row]) is not None]
        for row in rows:
            arrays[row] = None  # so that stacking frees each image as it goes
        parts[split] = Part(stacked(chosen, depth), [entries[row].name for row in rows],
                            [entries[row].group for row in rows] if settings.group else None)
    classes = ordered(entry.name for entry in entries if entry.split == "train")
    return Raw(parts, classes, tuple(bad))


def files_under(folder: Path) -> list[Path]:
    """Return every file under a folder, at any depth, sorted, without hidden files and folders."""
    found = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not hidden(name)]
        found += [Path(base, name) for name in files if not hidden(name)]
    return sorted(found)


def _near(place: str) -> str:
    try:
        path = Path(place).expanduser()
        while not path.parent.exists():
            path = path.parent
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()], 1, 0.6)
    except (OSError, ValueError, RuntimeError):
        return ""
    return f" Did you mean {path.parent / near[0]}?" if near else f" {path.parent} is there, {path.name} is not."

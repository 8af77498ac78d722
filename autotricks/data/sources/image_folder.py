"""image_folder: a folder for each class, with or without folders for the splits above."""
from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import DataError
from ..decode import Bad, display_name, printable
from ..settings import Settings
from .files import Entry, Listing, existing, files_under, images_of, is_folder, no_image, visible
from .grouping import by_pattern
from .layout import MASKS, Layout, Place, understood
from .raw import Raw, clean

MASK = re.compile(r"(.+)([ _-](mask|masks|seg|segmentation|gt)([ _-]?\d+)?\.[^.]+)", re.IGNORECASE)


def read(location: str, settings: Settings) -> Raw:
    """Read PATH/train/CLASS/* [and PATH/val, PATH/test], or PATH/CLASS/*; files may lie deeper than their class.

    Raises:
        DataError: When there is no such folder, or the splits or classes are not clear.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the files of every class and split.

    Raises:
        DataError: When there is no such folder, or the splits or classes are not clear.
    """
    return listed(existing(location), settings)


def listed(root: Path, settings: Settings) -> Listing:
    """List the files of every class and split below a folder, on the disk or in an archive.

    Raises:
        DataError: When it is none, or the splits or classes are not clear.
    """
    if not is_folder(root):
        raise DataError(f"data.source: {display_name(root)} is a file; image_folder needs a folder with a folder for "
                        "each class.")
    layout = understood(root, settings)
    entries: list[Entry] = []
    paths: list[Path] = []
    skipped: list[Bad] = []
    aside = Counter[tuple[str, str]]()
    for place in layout.places:
        files, left = files_under(place.path, root)
        skipped += left
        images = [file for file in _images(files, place, aside)
                  if place.name is not None or file.parent != place.path]
        paths += images
        entries += [Entry(file, (label,), place.split) for file, label in zip(images, _labels(images, place))]
    if settings.group and settings.group.pattern is not None:
        entries = by_pattern(entries, [path.relative_to(root).as_posix() for path in paths], settings.group.pattern)
    elif settings.group:
        raise DataError("data.group.column: image_folder has no columns. Give data.group.pattern.")
    skipped += [Bad(f"{printable(root)}/{form}", f"{count} files: {reason}")
                for (form, reason), count in sorted(aside.items())]
    return Listing(entries, tuple(skipped + _loose(root, layout)),
                   notices=(*layout.notices, *_merged(layout, entries, paths)), origin=layout.origin)


def _labels(files: Sequence[Path], place: Place) -> list[str]:
    """Return the label of each file."""
    if place.name is not None:
        return [clean(place.name)] * len(files)
    return [clean(file.parent.name) for file in files]


def _images(files: Sequence[Path], place: Place, aside: Counter[tuple[str, str]]) -> Iterator[Path]:
    """Yield the files that are for learning; count the others, by what they are."""
    parts = [os.path.split(file) for file in files]
    folders = {folder: _masks(Path(folder), place) for folder in {folder for folder, _ in parts}}
    every = all(folders.values())       # what holds nothing else is for learning
    stems = {os.path.splitext(file)[0] for file in files} if any(MASK.fullmatch(name) for _, name in parts) else set()
    for file, (folder, name) in zip(files, parts):
        match = MASK.fullmatch(name) if stems else None
        if no_image(name):
            aside[f"**/*{file.suffix.lower()}", "no images"] += 1
        elif folders[folder] and not every:
            aside[f"**/{folders[folder]}/*", "masks of images"] += 1
        elif match and os.path.join(folder, match[1]) in stems:
            aside[f"**/*{match[2]}", "masks of images"] += 1
        else:
            yield file


def _masks(folder: Path, place: Place) -> str:
    """Return the folder of masks that a folder is or lies in, below its class."""
    return next((part for part in folder.relative_to(place.path).parts if part.lower() in MASKS), "")


def _merged(layout: Layout, entries: Sequence[Entry], paths: Sequence[Path]) -> list[str]:
    """Say which classes are made of folders of the same name, where the folder of a file names its class."""
    if all(place.name is not None for place in layout.places):
        return []
    folders = {(entry.split, entry.labels[0], path.parent) for entry, path in zip(entries, paths, strict=True)}
    counts = Counter((split, name) for split, name, _ in folders)
    several = sorted({name for (_, name), count in counts.items() if count > 1})
    return [f"folders of the same name in several places are one class: {', '.join(several[:5])}"] if several else []


def _loose(root: Path, layout: Layout) -> list[Bad]:
    """Return what lies beside the folders of splits and classes."""
    used = {place.path for place in layout.places}
    above = {parent for path in used for parent in path.parents if root == parent or root in parent.parents}
    leaves = [place.path for place in layout.places if place.name is None]
    beside = [path for folder in sorted(above) for path in visible(folder) if path not in used | above]
    inside = [path for folder in leaves for path in visible(folder) if not is_folder(path)]
    return [Bad(printable(path), "lies in no folder of a class") for path in [*beside, *inside]]

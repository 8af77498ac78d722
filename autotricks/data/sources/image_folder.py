"""image_folder: a folder for each class, with or without folders for the splits above."""
from __future__ import annotations

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

MASK = re.compile(r"(.+)[ _-](mask|masks|seg|segmentation|gt)([ _-]?\d+)?")    # of a file's name without suffix


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
        entries += [Entry(file, (clean(place.name or file.parent.name),), place.split) for file in images]
    if settings.group and settings.group.pattern is not None:
        entries = by_pattern(entries, [path.relative_to(root).as_posix() for path in paths], settings.group.pattern)
    elif settings.group:
        raise DataError("data.group.column: image_folder has no columns. Give data.group.pattern.")
    skipped += [Bad(f"{printable(root)}/{form}", f"{count} files: {reason}")
                for (form, reason), count in sorted(aside.items())]
    return Listing(entries, tuple(skipped + _loose(root, layout)),
                   notices=(*layout.notices, *_merged(layout, entries, paths)), origin=layout.origin)


def _images(files: Sequence[Path], place: Place, aside: Counter[tuple[str, str]]) -> Iterator[Path]:
    """Yield the files that are for learning; count the others, by what they are."""
    unmasked = [file for file in files if not no_image(file.name) and not _masks(file, place)]
    stems = {file.with_suffix("") for file in files}
    for file in files:
        match = MASK.fullmatch(file.stem.lower())
        if no_image(file.name):
            aside[f"**/*{file.suffix.lower()}", "no images"] += 1
        elif unmasked and _masks(file, place):
            aside[f"**/{_masks(file, place)}/*", "masks of images"] += 1
        elif match and file.with_name(file.stem[:len(match[1])]) in stems:
            aside[f"**/*_{match[2]}{file.suffix.lower()}", "masks of images"] += 1
        else:
            yield file


def _masks(file: Path, place: Place) -> str:
    """Return the folder of masks that a file lies in, below its class."""
    return next((part for part in file.relative_to(place.path).parts[:-1] if part.lower() in MASKS), "")


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

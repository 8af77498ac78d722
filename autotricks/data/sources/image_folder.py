"""image_folder: a folder for each class, with or without folders for the splits above."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import DataError
from ..decode import Bad, display_name, printable
from ..settings import Settings
from .files import Entry, Listing, existing, files_under, images_of, is_folder, visible
from .grouping import by_pattern
from .raw import SPLIT_WORDS, Raw, clean


def read(location: str, settings: Settings) -> Raw:
    """Read PATH/train/CLASS/* [and PATH/val, PATH/test], or PATH/CLASS/*; files may lie deeper than their class.

    Raises:
        DataError: When there is no such folder, a class is empty, or the splits are not clear.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the files of every class and split.

    Raises:
        DataError: When there is no such folder, or the splits or classes are not clear.
    """
    root = existing(location)
    if not is_folder(root):
        raise DataError(f"data.source: {display_name(root)} is a file; image_folder needs a folder with a folder for "
                        "each class.")
    entries: list[Entry] = []
    skipped: list[Bad] = []
    problems: list[str] = []
    splits = _splits(root)
    for split, folder in splits.items():
        for path in _classes(folder, split):
            files, left = files_under(path, root)
            if not files:
                problems.append(f"data.source: the class folder {display_name(path)} is empty. Add images or remove "
                                "it.")
            entries += [Entry(file, (clean(path.name),), split) for file in files]
            skipped += left
    if settings.group and settings.group.pattern is not None:
        entries = by_pattern(entries, [entry.path.relative_to(root).as_posix() for entry in entries],
                             settings.group.pattern)
    elif settings.group:
        raise DataError("data.group.column: image_folder has no columns. Give data.group.pattern.")
    return Listing(entries, tuple(skipped + _loose(root, splits)), tuple(problems))


def _loose(root: Path, splits: Mapping[str, Path]) -> list[Bad]:
    """Return what lies beside the folders of splits and classes."""
    inside = [path for folder in splits.values() for path in visible(folder) if not is_folder(path)]
    beside = [] if root in splits.values() else [path for path in visible(root) if path not in splits.values()]
    return [Bad(printable(path), "lies in no folder of a class") for path in beside + inside]


def _splits(root: Path) -> dict[str, Path]:
    """Return the folder of each split; `root` itself is the training part where it holds the classes."""
    folders = [path for path in visible(root) if is_folder(path)]
    named: dict[str, Path] = {}
    for path in folders:
        split = SPLIT_WORDS.get(path.name.lower())
        if split in named:
            raise DataError(f"data.source: {display_name(named[split])} and {display_name(path)} are both the {split} "
                            "split. Keep one.")
        if split:
            named[split] = path
    everything = bool(named) and len(named) == len(folders)
    if "train" in named and (everything or any(is_folder(path) for path in visible(named["train"]))):
        return named
    if everything:
        raise DataError(f"data.source: {display_name(root)} has "
                        f"{', '.join(display_name(path.name) for path in folders)} but no train folder.")
    return {"train": root}  # a class may be called train or test


def _classes(folder: Path, split: str) -> list[Path]:
    classes = [path for path in visible(folder) if is_folder(path)]
    if not classes:
        mend = "" if split == "train" else f" Without {folder.name}, {split} is split off from train."
        raise DataError(f"data.source: {display_name(folder)} holds no folder for a class; CLASS/*.jpg is needed in "
                        f"it.{mend}")
    return classes

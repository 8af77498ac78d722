"""Paths, and lists of image files with labels."""
from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import torch

from ...core.images import Images
from ...errors import DataError
from .. import decode
from ..decode import Bad, display_name, printable
from ..fitting import sides
from ..glance import glance
from ..labels import ordered
from ..memory import COPIES, available, require_images
from ..settings import Settings
from ..storage import Stored
from ..stream import PREFETCH, WORKERS, Files, Reading, Seen, Streamed, survey
from .archive_paths import Inside
from .boxes import Boxes, solid
from .raw import Part, Raw, refuse_many, stacked

CLUTTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin",
                     "system volume information", "@eadir", "mlmodel"})     # mlmodel: of a model that MLflow keeps

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
NO_IMAGES = frozenset({
    ".xml", ".json", ".jsonl", ".txt", ".csv", ".tsv", ".md", ".rst", ".yaml", ".yml", ".html", ".htm", ".pdf", ".doc",
    ".docx", ".xls", ".xlsx", ".py", ".ipynb", ".m", ".log", ".cfg", ".conf", ".toml", ".sh", ".npy", ".npz", ".mat",
    ".pkl", ".pickle", ".h5", ".hdf5", ".pt", ".pth", ".pt2", ".ckpt", ".safetensors", ".onnx", ".parquet", ".arrow",
    ".tfrecord", ".db", ".db-journal", ".db-shm", ".db-wal", ".sqlite", ".zip", ".tar", ".gz", ".rar", ".7z", ".mp4",
    ".avi", ".mov", ".mkv", ".mp3", ".wav", ".flac", ".lnk", ".url", ".md5", ".sha256", ".bak", ".tmp"})


@dataclass(frozen=True)
class Entry:
    """One image file, the names of its labels, its split, its group if it has one, and where its labels are."""

    path: Path | Stored
    labels: tuple[str, ...]
    split: str
    group: str = ""
    boxes: Boxes | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a source, before any is opened.

    Args:
        entries: Every file that is taken for an image.
        skipped: What is there and belongs to no class, with the reason.
        bad: Rows that name no image or no label.
        notices: What the source left open and how it was understood, a line each.
        origin: Where each split comes from, in words.
        order: Names of classes in the order of their numbers, where the source numbers them.
    """

    entries: Sequence[Entry]
    skipped: tuple[Bad, ...] = ()
    bad: tuple[Bad, ...] = ()
    notices: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()

    def raw(self, parts: Mapping[str, Part], bad: Sequence[Bad], settings: Settings) -> Raw:
        """Return what is handed over of the images that could be read."""
        return Raw(parts, self.classes, (*self.bad, *bad), self.skipped, self.notices, self.origin,
                   glance([entry.path for entry in self.entries], settings))

    def refuse_many(self, bad: Sequence[Bad], limit: float) -> None:
        """Refuse the source where more than this share cannot be used.

        Raises:
            DataError: Naming the first few.
        """
        refuse_many((*self.bad, *bad), len(self.entries) + len(self.bad), limit)

    @property
    def classes(self) -> tuple[str, ...]:
        """Every label of a training image, in order."""
        names = {name for entry in self.entries if entry.split == "train" for name in entry.labels}
        return tuple(name for name in self.order if name in names) if self.order else ordered(names)


def existing(location: str | Path) -> Path:
    """Return a path that exists, in an archive if it is one of there.

    Raises:
        DataError: With the name beside it that is nearest.
    """
    try:
        path = location if isinstance(location, Path) else Path(location).expanduser()
        path.stat()
        return path
    except (OSError, ValueError, RuntimeError):
        refuse_address(str(location))
        raise DataError(f"data.source: {display_name(location)}: no such file or folder.{_near(str(location))}"
                        ) from None


def existing_file(location: str) -> Path:
    """Return the path of a regular file; opening a pipe would wait for ever.

    Raises:
        DataError: When it is missing or something else.
    """
    path = existing(location)
    if not path.is_file():
        raise DataError(f"data.source: {display_name(path)} is not a regular file. Name the file that holds the data.")
    return path


def refuse_address(location: str) -> None:
    """Refuse an address of the web or of a bucket, without the password that it may hold.

    Raises:
        DataError: When it is one.
    """
    scheme, mark, _ = location.partition("://")
    if mark:
        raise DataError(f"data.source: {display_name(scheme)}://... is an address; images are read from files. Mount "
                        "the bucket, at the same path on every node of a cluster, and name that path.")


def is_folder(path: Path) -> bool:
    """Return whether a path, or what it links to, is a folder; a link that leads nowhere is none.

    Raises:
        DataError: When there is no permission to tell.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except PermissionError as error:
        closed(error)
    except (OSError, RuntimeError):     # RuntimeError: links in a circle, before Python 3.13
        return False


def hidden(name: str) -> bool:
    """Return whether a file or folder is one that systems leave behind, such as .DS_Store or Thumbs.db."""
    return name.startswith(".") or name.lower() in CLUTTER


def leads(test: Callable[[], bool]) -> bool:
    """Return what a test of a folder's entry says; a link that cannot be followed leads nowhere."""
    try:
        return test()
    except OSError:
        return False


def is_picture(name: str) -> bool:
    """Return whether a path ends as image files do."""
    return name.lower().endswith(PICTURES)


def no_image(name: str) -> bool:
    """Return whether a file is no image, by its suffix: notes, tables, arrays, archives, films."""
    return os.path.splitext(name)[1].lower() in NO_IMAGES


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name, without hidden files.

    Raises:
        DataError: When it cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not hidden(path.name))
    except OSError as error:
        closed(error)


def innermost(folder: Path) -> Path:
    """Return the folder that holds more than one folder alone: what an archive, or who unpacked it, put around."""
    there = visible(folder)
    while len(there) == 1 and is_folder(there[0]):
        folder = there[0]
        there = visible(folder)
    return folder


def images_of(listing: Listing, settings: Settings) -> Raw:
    """Decode image files, or, where memory does not hold the images, look at each file and leave the images there.

    Raises:
        DataError: When classes are empty, too many files are bad, or their sizes differ.
    """
    listing = _fitted(listing, settings)
    entries = listing.entries
    if settings.size:
        require_images(1, (settings.channels or 3, *sides(settings.size)))
    if _too_many(entries, settings):
        return _streamed(listing, settings)
    arrays, bad = decode.read([entry.path for entry in entries], settings.size, settings.channels, settings.fit)
    listing.refuse_many(bad, settings.max_bad)
    depth = max((array.shape[0] for array in arrays if array is not None), default=1)
    parts = {}
    for split in dict.fromkeys(entry.split for entry in entries):
        rows = [row for row, entry in enumerate(entries) if entry.split == split and arrays[row] is not None]
        if not rows:
            raise _none(split)
        chosen = [array for row in rows if (array := arrays[row]) is not None]
        for row in rows:
            arrays[row] = None  # so that stacking frees each image as it goes
        parts[split] = _part(stacked(chosen, depth), [entries[row] for row in rows], settings)
    return listing.raw(parts, bad, settings)


def _part(images: Images, entries: Sequence[Entry], settings: Settings) -> Part:
    """Return images with what is said of each, an entry for each."""
    there = [entry.boxes for entry in entries if entry.boxes is not None]
    return Part(images, [entry.labels for entry in entries],
                [entry.group for entry in entries] if settings.group else None,
                [torch.from_numpy(boxes.edges).float() for boxes in there] if len(there) == len(entries) else None,
                [boxes.ignored for boxes in there] if any(any(boxes.ignored) for boxes in there) else None)


def _fitted(listing: Listing, settings: Settings) -> Listing:
    """Return a listing with its boxes in pixels of the images as they are loaded, without those that are cut off."""
    entries = [_brought(entry, settings) for entry in listing.entries]
    before, after = (sum(len(entry.labels) for entry in each) for each in (listing.entries, entries))
    told = [f"data.fit: {settings.fit} leaves {before - after:,} of {before:,} boxes outside; pad or squash keeps all "
            "of them"] if after < before else []
    return replace(listing, entries=entries, notices=(*listing.notices, *told))


def _brought(entry: Entry, settings: Settings) -> Entry:
    if entry.boxes is None:
        return entry
    edges = entry.boxes.brought(settings.size, settings.fit)
    rows = solid(edges)
    boxes = replace(entry.boxes, edges=edges).only(rows)
    return replace(entry, labels=tuple(entry.labels[row] for row in rows), boxes=boxes)


def _too_many(entries: Sequence[Entry], settings: Settings) -> bool:
    """Return whether the images would take more memory than they may, going by the first that can be read."""
    for entry in entries:
        look = partial(decode.decode, size=settings.size, channels=settings.channels, fit=settings.fit)
        seen, = decode.each(look, [entry.path])
        if not isinstance(seen, Bad):   # what is wrong with others is told when all have been looked at
            return COPIES * len(entries) * seen.size > settings.room(available())
    return False


def _streamed(listing: Listing, settings: Settings) -> Raw:
    entries = listing.entries
    results = survey([entry.path for entry in entries], settings.size, settings.channels, settings.fit)
    bad = tuple(one for one in results if isinstance(one, Bad))
    listing.refuse_many(bad, settings.max_bad)
    good = [(entry, one) for entry, one in zip(entries, results, strict=True) if isinstance(one, Seen)]
    seen = [one for _, one in good]
    shape = (max(one.shape[0] for one in seen), *seen[0].shape[1:]) if seen else (1, 1, 1)
    files = Files([entry.path for entry, _ in good], (shape[0], shape[1], shape[2]), settings.size, settings.channels,
                  settings.fit)
    reading = Reading(WORKERS if settings.workers is None else settings.workers, settings.prefetch or PREFETCH)
    parts = {}
    for split in dict.fromkeys(entry.split for entry in entries):
        rows = [row for row, (entry, _) in enumerate(good) if entry.split == split]
        if not rows:
            raise _none(split)
        images = Streamed(files, seen, torch.tensor(rows), reading)
        parts[split] = _part(images, [good[row][0] for row in rows], settings)
    return listing.raw(parts, bad, settings)


def _none(split: str) -> DataError:
    return DataError(f"data.source: none of the {split} images can be read.")


def files_under(folder: Path, root: Path) -> tuple[list[Path], list[Bad]]:
    """Return every file under a folder, at any depth, sorted, and the links that are not followed; neither if hidden.

    A folder that is linked to is entered once, and not at all if that leads back into the data or around it.

    Args:
        folder: Where to look.
        root: Of all the data.

    Raises:
        DataError: When a folder cannot be listed.
    """
    if isinstance(folder, Inside):
        return sorted(path for path in folder.files() if not any(map(hidden, path.relative_to(folder).parts))), []
    paths: list[Path] = []
    skipped: list[Bad] = []
    home = root.resolve()
    entered = {root.resolve(), folder.resolve()}
    for base, folders, files in os.walk(folder, onerror=closed, followlinks=True):
        folders[:] = sorted(name for name in folders if not hidden(name))
        for link in [Path(base, name) for name in folders if Path(base, name).is_symlink()]:
            target = link.resolve()
            if target in home.parents or entered.intersection([target, *target.parents]):
                folders.remove(link.name)
                skipped.append(Bad(printable(link), "link to a folder that is in the data already"))
            else:
                entered.add(target)
        paths += [Path(base, name) for name in files if not hidden(name)]
    return sorted(paths), skipped


def closed(error: OSError) -> NoReturn:
    """Refuse what cannot be listed.

    Raises:
        DataError: Saying why.
    """
    raise DataError(f"data.source: {display_name(str(error.filename))}: {error.strerror or error}.") from error


def _near(location: str) -> str:
    try:
        path = Path(location).expanduser()
        while not path.parent.exists():
            path = path.parent
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()], 1, 0.6)
    except (OSError, ValueError, RuntimeError):
        return ""
    return (f" Did you mean {display_name(path.parent / near[0])}?" if near else
            f" {display_name(path.parent)} is there, {display_name(path.name)} is not.")

"""zip and tar: a folder of images, or a table with its images, in an archive that is read where it lies."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ...core.traits import DataTrait
from ...errors import DataError
from ...tasks import find as find_task
from ..decode import display_name
from ..settings import Settings
from . import coco, csv_table, image_folder, voc, yolo
from .archive_index import tar_members, zip_members
from .archive_paths import Inside, inside
from .files import Listing, existing, files_under, images_of, innermost, visible
from .raw import Raw

TABLES = (".csv", ".tsv", ".txt")
MEMBERS = {"zip": zip_members, "tar": tar_members}
MAX_LISTED = 8
Lister = Callable[[Path, Settings], Listing]
LISTERS: dict[str, Lister] = {".json": coco.listed, ".xml": voc.listed, ".yaml": yolo.listed, ".yml": yolo.listed}


def read_zip(location: str, settings: Settings) -> Raw:
    """Decode the images of a zip archive, or leave them there where memory does not hold them.

    Raises:
        DataError: When the archive is damaged or made to harm, or what it holds is not clear.
    """
    return images_of(list_zip(location, settings), settings)


def read_tar(location: str, settings: Settings) -> Raw:
    """Decode the images of a tar archive, as `read_zip` does."""
    return images_of(list_tar(location, settings), settings)


def list_zip(location: str, settings: Settings) -> Listing:
    """List the images of a zip archive: nothing is unpacked.

    PATH is the archive, or goes on to a folder or a table in it: photos.zip/train.csv. A folder that is alone in the
    archive is entered. A table that is alone, or beside one folder, is read as csv is, all else as image_folder.

    Raises:
        DataError: When the archive is damaged or made to harm, or what it holds is not clear.
    """
    return _listing("zip", location, settings)


def list_tar(location: str, settings: Settings) -> Listing:
    """List the images of a tar archive, as `list_zip` does."""
    return _listing("tar", location, settings)


def _listing(word: str, location: str, settings: Settings) -> Listing:
    archive = _archive(word, location)
    held = MEMBERS[word](archive)
    root = inside(archive, held.files)
    path: Path = root / Path(location).expanduser().relative_to(archive)
    with _called(word, archive):
        path = _chosen(path) if path == root else path
        if not path.exists():
            names = ", ".join(display_name(one.name) for one in visible(path.parent)[:MAX_LISTED]
                              ) if path.parent.is_dir() else "none"
            raise DataError(f"data.source: {display_name(path)}: no such file or folder in the archive; beside it are "
                            f"{names or 'none'}.")
        listed = _reader(path, settings)(path, settings)
    entries = [replace(entry, path=entry.path.stored() if isinstance(entry.path, Inside) else entry.path)
               for entry in listed.entries]
    return replace(listed, entries=entries, skipped=(*listed.skipped, *held.skipped))


def _reader(path: Path, settings: Settings) -> Lister:
    """Return what lists the images of a file or folder of an archive."""
    if DataTrait.BOXES in find_task(settings.task).brings and path.is_dir():
        return _annotations(path)
    return LISTERS.get(path.suffix.lower(), csv_table.listed) if path.is_file() else image_folder.listed


def _annotations(folder: Path) -> Lister:
    """Return what reads the annotations of boxes that a folder holds.

    Raises:
        DataError: When it holds none, or several kinds.
    """
    files = files_under(folder, folder)[0]
    first = {path.suffix.lower(): path for path in reversed(files)}
    near = [path for path in files if path.parent == folder]
    kinds: dict[Lister, Path] = {LISTERS[suffix]: path for suffix, path in first.items() if suffix in (".json", ".xml")}
    for path in near:
        if path.suffix.lower() in yolo.YAML or path.name in yolo.CLASSES:
            kinds[yolo.listed] = path
        elif path.suffix.lower() in (".csv", ".tsv"):
            kinds[_table] = path
    if len(kinds) == 1:
        return next(iter(kinds))
    if kinds:
        could = " or ".join(_named(lister, path) for lister, path in kinds.items())
        raise DataError(f"data.source: {display_name(folder)} holds annotations of several kinds. Write {could}.")
    raise DataError(f"data.source: {display_name(folder)} holds no annotations of boxes: neither COCO's .json nor "
                    "VOC's .xml, neither YOLO's data.yaml nor a table.")


def _named(lister: Lister, path: Path) -> str:
    """Return the source that an annotation of an archive is."""
    if lister is voc.listed:
        return f"voc:{display_name(path.parent)}"
    words: dict[Lister, str] = {coco.listed: "coco", yolo.listed: "yolo"}
    return f"{words.get(lister, 'csv')}:{display_name(path)}"


def _table(folder: Path, settings: Settings) -> Listing:
    return csv_table.listed(next(path for path in visible(folder) if path.suffix.lower() in (".csv", ".tsv")), settings)


def _archive(word: str, location: str) -> Path:
    """Return the archive that a path begins with.

    Raises:
        DataError: When there is none.
    """
    path = Path(location).expanduser()
    archive = next((one for one in (path, *path.parents) if one.is_file()), None)
    if archive is None:
        existing(location)
        raise DataError(f"data.source: {display_name(path)} is not a file; {word} needs an archive.")
    return archive


def _chosen(root: Path) -> Path:
    """Return the table or the folder of an archive that holds the images."""
    root = innermost(root)
    there = visible(root)
    tables = [path for path in there if path.suffix.lower() in TABLES and path.is_file()]
    folders = [path for path in there if path.is_dir()]
    return tables[0] if len(tables) == 1 and len(folders) < 2 else root


@contextmanager
def _called(word: str, archive: Path) -> Iterator[None]:
    """Let messages propose the source that the archive is."""
    try:
        yield
    except DataError as error:
        other = re.compile(rf"\b(image_folder|csv):(?={re.escape(display_name(archive))})")
        raise DataError([other.sub(f"{word}:", line) for line in error.problems]) from error

"""parquet: tables of images and labels in Parquet files."""
from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..decode import Bad, display_name, error_text
from ..settings import Settings
from ..storage import OnDisk, Stored
from . import arrow_tables as columns
from .arrow_tables import Columns, Rows
from .files import Entry, Listing, existing, images_of
from .naming import parse, splits_of
from .parquet_images import COLUMN, images_file
from .raw import Raw

if TYPE_CHECKING:
    import pyarrow


def read(argument: str, settings: Settings) -> Raw:
    """Decode the images of Parquet files, or leave them where memory does not hold them.

    Raises:
        DataError: When a file is damaged, or has no column of images or labels.
    """
    return images_of(listing(argument, settings), settings)


def listing(argument: str, settings: Settings) -> Listing:
    """List the images of Parquet files: PATH is one, a folder of them, or a pattern with *.

    Images are bytes, {bytes, path} as Hugging Face stores them, or paths relative to the file. The splits are those of a
    column `split`, or what the files are called: train, validation or test, in a file's or folder's name.

    Raises:
        DataError: When a file is damaged, or has no column of images or labels.
    """
    location, options = parse("parquet", argument, ("image", "label", "split"))
    root, files = _files(location)
    splits = splits_of([_relative(file, root) for file in files])
    listed: list[Entry] = []
    skipped: list[Bad] = []
    names: dict[str, None] = {}
    for file in files:
        split = splits[_relative(file, root)]
        if split is None:
            skipped.append(Bad(str(file), "its name says no split, where those of other files do"))
            continue
        found, own = _rows(file, options, settings)
        names |= dict.fromkeys(own.names or ())
        for entry in columns.entries(found, own, split):
            (listed if isinstance(entry, Entry) else skipped).append(entry)     # type: ignore[arg-type]
    if not any(entry.split == "train" for entry in listed):
        raise DataError(f"data.source: {display_name(root)} has no images to train on: no file and no row is of train.")
    return Listing(listed, tuple(skipped), order=tuple(names))


def _files(location: str) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the files in it, sorted."""
    if "*" in location:
        pattern = Path(location).expanduser()
        files = sorted(map(Path, glob.glob(str(pattern))))
        root = Path(str(pattern).split("*")[0]).parent
    else:
        root = existing(location)
        files = sorted(root.rglob("*.parquet")) if root.is_dir() else [root]
        root = root if root.is_dir() else root.parent
    if not files:
        raise DataError(f"data.source: {display_name(location)} holds no .parquet file.")
    return root, files


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


def _rows(file: Path, wanted: Mapping[str, str], settings: Settings) -> tuple[Rows, Columns]:
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(file, memory_map=True)
        own = columns.find(display_name(file), schema, wanted, settings.group.column if settings.group else None)
        small = [name for name in (own.label, own.split, own.group) if name]
        table = pyarrow.parquet.read_table(file, columns=small, partitioning=None)
        return Rows(str(file), table, _places(file, schema.field(own.image).type, own.image)), own
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"data.source: {display_name(file)} is no Parquet file that can be read: {error_text(error)}. "
                        "Fetch or write it again.") from error


def _places(file: Path, kind: pyarrow.DataType, column: str) -> list[Stored | None]:
    """Return where each image lies: beside the file, or, for bytes in it, in the cache."""
    import pyarrow.parquet

    def leaf(name: str) -> list[str | None]:
        return [path["path"] if isinstance(path, dict) else path for path in
                pyarrow.parquet.read_table(file, columns=[name], partitioning=None)[column].to_pylist()]

    if not columns.holds_bytes(kind):
        return [OnDisk(str(file.parent / path)) if path else None for path in leaf(column)]
    places = columns.cells(images_file(file, column), COLUMN, str(file))
    assert places is not None, "what is written here is not compressed"
    if all(places) or not columns.has_paths(kind):
        return places
    return [place or (OnDisk(str(file.parent / path)) if path else None)
            for place, path in zip(places, leaf(f"{column}.path"), strict=True)]

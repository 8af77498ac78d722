"""parquet: tables of images and labels in Parquet files."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..decode import Bad, display_name, error_text, printable
from ..settings import Settings
from ..storage import OnDisk, Stored
from . import arrow_tables
from .arrow_tables import Piece
from .files import Listing, images_of
from .naming import found, relative, splits_of, there
from .parquet_images import COLUMN, images_file
from .raw import Raw

if TYPE_CHECKING:
    import pyarrow


def read(location: str, settings: Settings) -> Raw:
    """Decode the images of Parquet files, or leave them where memory does not hold them.

    Raises:
        DataError: When a file is damaged, or the columns are not clear.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the images of Parquet files: PATH is one, a folder of them, or a pattern with *.

    Images are bytes, {bytes, path} as Hugging Face stores them, or paths relative to the file. The splits are what the
    files are called, train, validation or test, in a file's or folder's name; else those of a column, as in a csv.

    Raises:
        DataError: When a file is damaged, or the columns are not clear.
    """
    root, files = found(location, ".parquet")
    splits = splits_of([relative(file, root) for file in files], settings)
    named = len({*splits.values()}) > 1 or {*splits.values()} != {"train"}
    skipped: list[Bad] = []
    pieces: list[Piece] = []
    image = ""
    for file in files:
        split = splits[relative(file, root)]
        if split is None:
            skipped.append(Bad(printable(file), "its name says no split, where those of other files do"))
            continue
        image, piece = _piece(file, split if named else None, settings)
        pieces.append(piece)
    listed = arrow_tables.listing(display_name(root), image, pieces, settings)
    origin = dict.fromkeys(there(listed.entries), "names of files") if named else listed.origin
    return replace(listed, skipped=(*skipped, *listed.skipped), origin=origin)


def _piece(file: Path, split: str | None, settings: Settings) -> tuple[str, Piece]:
    """Return the column of images, and the rows of a file."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file, memory_map=True) as table:
            schema = table.schema_arrow
            image = arrow_tables.image_column(display_name(file), schema, settings)
            others = table.read(arrow_tables.other_columns(schema, image)).replace_schema_metadata(schema.metadata)
            return image, Piece(str(file), others, _images(file, table, image), split)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"data.source: {display_name(file)} is no Parquet file that can be read: {error_text(error)}. "
                        "Fetch or write it again.") from error


def _images(file: Path, table: pyarrow.parquet.ParquetFile, column: str) -> Sequence[Stored | None]:
    """Return where each image lies: beside the file, or, for bytes in it, in the cache."""
    def beside(leaf: str) -> list[Stored | None]:
        values = table.read([leaf]).column(0).to_pylist()
        paths = (value["path"] if isinstance(value, dict) else value for value in values)
        return [OnDisk(str(file.parent / path)) if path else None for path in paths]

    kind = table.schema_arrow.field(column).type
    if not arrow_tables.holds_bytes(kind):
        return beside(column)
    places = arrow_tables.cells(images_file(file, column), COLUMN, str(file))
    assert places is not None, "what is written there is not compressed"
    if all(places) or not arrow_tables.has_paths(kind):
        return places
    return [place or path for place, path in zip(places, beside(f"{column}.path"), strict=True)]

"""Tables of Arrow, as Parquet files and Hugging Face data sets hold them: what is what, and where the images lie."""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError
from ..decode import Bad
from ..settings import Settings
from ..storage import OnDisk, Slice, Stored
from .cells import BETWEEN
from .csv_table import entries_of
from .delimited import Sheet
from .files import Listing
from .grouping import by_pattern
from .raw import clean

if TYPE_CHECKING:
    import pyarrow

IMAGES = ("image", "img", "picture", "photo", "jpg", "png", "bytes", "image_bytes", "content")
PATHS = ("path", "image_path", "file", "filename", "file_name", "filepath", "file_path", "image", "img")
SPLIT = "split"
MAX_LISTED = 12


@dataclass(frozen=True, eq=False)
class Piece:
    """Some rows of a data set: a file of it, or a split.

    Args:
        where: What to call it.
        table: Its columns beside the image.
        images: Where each row's image lies; None where it has none.
        split: Of all of its rows, where that is known.
    """

    where: str
    table: pyarrow.Table
    images: Sequence[Stored | None]
    split: str | None = None

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names of the classes, by number, of each column that has some."""
        found = {column: class_names(feature) for column, feature in _features(self.table.schema).items()}
        return {column: names for column, names in found.items() if names and column in self.table.column_names}

    def words(self, column: str, own: bool = True) -> list[str]:
        """Return a column as words; `own` puts the split of the piece in place of its column."""
        if column == SPLIT and own and self.split:
            return [self.split] * len(self.images)
        if column not in self.table.column_names:
            return [""] * len(self.images)
        values = self.table[column].to_pylist()
        whole = all(value is None or (isinstance(value, float) and value.is_integer()) for value in values)
        return [_word(f"{self.where}:{row}", int(value) if whole and value is not None else value,
                      self.names.get(column)) for row, value in enumerate(values)]

    def has_labels(self, columns: Sequence[str]) -> bool:
        """Return whether some row says something in these columns, or none of them is there."""
        there = [column for column in columns if column in self.table.column_names]
        return not there or any(any(self.words(column, own=False)) for column in there)


def listing(name: str, image: str, pieces: Sequence[Piece], settings: Settings) -> Listing:
    """List the images of a data set: a table is read as one of text is, once its cells are words.

    Args:
        name: Of the source, for messages.
        image: The column of the images.
        pieces: All rows.
        settings: With the `table` keys that hold for it.

    Raises:
        DataError: When the columns of labels or splits are not clear.
    """
    named = list(dict.fromkeys(column for piece in pieces for column in piece.names))
    spelled = {column.lower(): column for piece in pieces for column in piece.table.column_names}
    label = tuple(spelled.get(column.strip().lower(), column) for column in settings.table.label) or tuple(
        named if len(named) == 1 else ())
    used = [piece for piece in pieces if piece.split in (None, "train") or piece.has_labels(label)]
    own = any(piece.split for piece in used) and settings.table.split is None and settings.table.fold is None
    columns = list(dict.fromkeys(column for piece in used for column in piece.table.column_names))
    columns = [image, *([SPLIT] if own else []), *(column for column in columns if not (own and column == SPLIT))]
    rows: list[tuple[int | str, list[str]]] = []
    images: list[Stored | None] = []
    for piece in used:
        cells = [piece.words(column, own) for column in columns[1:]]
        for row, (stored, *words) in enumerate(zip(piece.images, *cells, strict=True)):
            rows.append((f"{piece.where}:{row}", ["" if stored is None else str(len(images)), *words]))
            images.append(stored)
    between = settings.table.separator or (BETWEEN if len(label) < 2 else None)
    table = replace(settings.table, path=image, label=label, separator=between)
    found = entries_of(Sheet(name, columns, rows, ()),
                       replace(settings, table=table, splits=None if own else settings.splits))
    entries = [replace(entry, path=stored) for entry in found.entries
               if (stored := images[int(str(entry.path))]) is not None]
    if settings.group and settings.group.pattern is not None:
        entries = by_pattern(entries, [str(entry.path) for entry in entries], settings.group.pattern)
    order = next((piece.names[label[0]] for piece in used if len(label) == 1 and label[0] in piece.names), ())
    skipped = tuple(Bad(piece.where, "no row of it has a label") for piece in pieces if piece not in used)
    return replace(found, entries=entries, order=order, skipped=skipped)


def _word(where: str, value: Any, names: Sequence[str] | None) -> str:
    """Return a cell as a word, several of a list with a separator between them; a class by its name, -1 as nothing."""
    if isinstance(value, list):
        return BETWEEN.join(_word(where, one, names) for one in value)
    if value is None or (names and value == -1):
        return ""
    if not names or isinstance(value, str):
        return str(int(value)) if isinstance(value, bool) else str(value)
    if not 0 <= value < len(names):
        raise DataError(f"data.source: {where}: label {value}, where there are names for {len(names)} classes.")
    return names[int(value)]


def image_column(where: str, schema: pyarrow.Schema, settings: Settings) -> str:
    """Return the column of images: the one that `data.path` names, else by what it holds and is called.

    Raises:
        DataError: Naming the columns that there are.
    """
    features = _features(schema)
    wanted = settings.table.path
    if wanted:
        found = [name for name in schema.names if name.lower() == wanted.strip().lower()]
    else:
        choices = ([name for name in schema.names if _type(features.get(name)) == "Image"],
                   [field.name for field in schema if holds_bytes(field.type)],
                   [field.name for field in schema if _is_text(field.type) and field.name.lower() in PATHS])
        found = next((names for names in choices if names), [])
        usual = [name for one in (*IMAGES, *PATHS) for name in found if name.lower() == one]
        found = usual[:1] or found
    if len(found) != 1:
        none = f"it has no column {wanted}" if wanted else "no column holds images or is called as paths are"
        why = f"several columns may be its images, {', '.join(found)}" if found else none
        raise DataError(f"data.path: {where}: {why}. Its columns are {_listed(schema)}. Name the one of the images, or "
                        "of their paths: data.path.")
    name: str = found[0]
    kind = schema.field(name).type
    if not (holds_bytes(kind) or _is_text(kind)):
        raise DataError(f"data.path: {where}: {name} holds {str(kind)[:60]}, neither bytes of image files nor paths "
                        f"of them. Its columns are {_listed(schema)}.")
    return name


def other_columns(schema: pyarrow.Schema, image: str) -> list[str]:
    """Return the columns that may hold labels, splits or groups: numbers, words and lists of them."""
    import pyarrow

    kinds = pyarrow.types
    return [field.name for field in schema if field.name != image and not holds_bytes(field.type)
            and not kinds.is_struct(field.type) and not kinds.is_map(field.type)
            and not (kinds.is_nested(field.type) and kinds.is_nested(field.type.value_type))]


def _listed(schema: pyarrow.Schema) -> str:
    columns = [f"{field.name} ({str(field.type)[:40]})" for field in schema]
    more = f" and {len(columns) - MAX_LISTED} more" if len(columns) > MAX_LISTED else ""
    return (", ".join(columns[:MAX_LISTED]) or "none") + more


def _features(schema: Any) -> Mapping[str, Any]:
    """Return what the library datasets wrote about the columns into a file."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, LookupError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _type(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def class_names(feature: Any) -> tuple[str, ...] | None:
    """Return the names of the classes of a column that holds their numbers, one or several a row; else None."""
    if isinstance(feature, list) and len(feature) == 1:
        return class_names(feature[0])
    if isinstance(feature, dict) and "feature" in feature:
        return class_names(feature["feature"])
    if _type(feature) != "ClassLabel" or not isinstance(feature.get("names"), list):
        return None
    return tuple(map(clean, feature["names"]))


def holds_bytes(kind: pyarrow.DataType) -> bool:
    """Return whether a column holds bytes of image files, with or without paths beside them."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
    return any(told(kind) for told in (pyarrow.types.is_binary, pyarrow.types.is_large_binary,
                                       pyarrow.types.is_binary_view))


def has_paths(kind: pyarrow.DataType) -> bool:
    """Return whether a column of images holds paths beside bytes."""
    import pyarrow

    return pyarrow.types.is_struct(kind) and any(field.name == "path" for field in kind)


def _is_text(kind: pyarrow.DataType) -> bool:
    import pyarrow

    return any(told(kind) for told in (pyarrow.types.is_string, pyarrow.types.is_large_string,
                                       pyarrow.types.is_string_view, pyarrow.types.is_dictionary))


def cells(file: Path, column: str, where: str, first: int = 0) -> list[Stored | None] | None:
    """Return where each image of a column of an Arrow file lies in that file; None where its bytes are compressed.

    An Arrow file holds the bytes of a column one after the other, as they are, so that any image is a slice of it.

    Args:
        file: An Arrow file or stream.
        column: Of bytes, or {bytes, path}.
        where: What to call the rows.
        first: The number of the first row.

    Raises:
        KeyError: When there is no such column.
        Exception: What pyarrow raises for a damaged file.
    """
    import pyarrow

    whole = pyarrow.memory_map(str(file)).read_buffer()
    stream = pyarrow.BufferReader(whole)
    opened = pyarrow.ipc.open_file if whole[:6].to_pybytes() == b"ARROW1" else pyarrow.ipc.open_stream
    places: list[Stored | None] = []
    for batch in _batches(opened(stream)):
        content, paths = parts(batch.column(column))
        bounds = _bounds(content, whole.address)
        if bounds is None or not 0 <= bounds[0] <= bounds[-1] <= whole.size:
            return None
        present = content.is_valid().to_pylist()
        for row, (start, end) in enumerate(zip(bounds.tolist(), bounds[1:].tolist())):
            path = paths[row].as_py() if paths is not None and not present[row] else None
            beside = OnDisk(path) if path else None
            name = f"{where}:{first + len(places)}"
            places.append(Slice(str(file), start, end - start, name) if present[row] else beside)
    return places


def parts(array: pyarrow.Array) -> tuple[pyarrow.Array, pyarrow.Array | None]:
    """Return the bytes of a column of images, and the paths that it has beside them."""
    import pyarrow

    if not pyarrow.types.is_struct(array.type):
        return array, None
    fields = {field.name: content for field, content in zip(array.type, array.flatten())}
    return fields["bytes"], fields.get("path")


def _batches(reader: Any) -> Iterator[pyarrow.RecordBatch]:
    if hasattr(reader, "num_record_batches"):
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from reader


def _bounds(content: pyarrow.Array, base: int) -> np.ndarray | None:
    """Return where each value of a column of bytes begins, and where the last ends, relative to an address, [N + 1]."""
    import pyarrow

    if pyarrow.types.is_binary_view(content.type):
        return None
    width = np.int64 if pyarrow.types.is_large_binary(content.type) else np.int32
    _, offsets, values = content.buffers()
    if content.null_count == len(content) or values is None:
        return np.zeros(len(content) + 1, np.int64)
    starts = np.frombuffer(offsets, width)[content.offset:content.offset + len(content) + 1]
    moved: np.ndarray = starts.astype(np.int64) + (values.address - base)
    return moved

"""Tables of Arrow, as Parquet files and Hugging Face data sets hold them: which column is what, and where images lie."""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import DataError
from ..decode import Bad
from ..storage import OnDisk, Slice, Stored
from .files import Entry
from .raw import SPLIT_WORDS, clean

if TYPE_CHECKING:
    import pyarrow

IMAGES = ("image", "img", "picture", "photo", "jpg", "png", "bytes", "image_bytes", "content", "pixels")
PATHS = ("path", "image_path", "file", "filename", "file_name", "filepath", "file_path")
LABELS = ("label", "labels", "class", "target", "category", "y", "cls")
MAX_LISTED = 12


@dataclass(frozen=True)
class Columns:
    """Which column holds what.

    Args:
        image: The images: bytes, {bytes, path}, or paths.
        label: The labels.
        names: Of the classes, by number; None where the labels are names, or nobody named the numbers.
        split: Where a column says which split a row is of.
        group: Where `data.group.column` asks for one.
    """

    image: str
    label: str
    names: tuple[str, ...] | None = None
    split: str | None = None
    group: str | None = None


def find(where: str, schema: pyarrow.Schema, wanted: Mapping[str, str], group: str | None = None) -> Columns:
    """Find the columns of images and labels: those that are asked for, else by what they hold and are called.

    Args:
        where: The source, for messages.
        schema: Of the table.
        wanted: Names by what they hold: image, label, split.
        group: The column that `data.group.column` names.

    Raises:
        DataError: Naming the columns that there are.
    """
    features = _features(schema)
    for what, name in [*wanted.items(), *([("group", group)] if group else [])]:
        if what in ("image", "label", "split", "group") and name not in schema.names:
            raise _missing(where, schema, f"has no column {name!r}, which is to be its {what}")
    image = wanted.get("image") or _one(where, schema, "image", [
        [name for name in schema.names if _type(features.get(name)) == "Image"],
        [field.name for field in schema if holds_bytes(field.type)], [name for name in PATHS if name in schema.names]],
        IMAGES)
    if not (holds_bytes(schema.field(image).type) or _is_text(schema.field(image).type)):
        raise _missing(where, schema, f"has {schema.field(image).type} in {image!r}, which are neither bytes of image "
                                      "files nor paths of them")
    label = wanted.get("label") or _one(where, schema, "label", [
        [name for name in schema.names if _class_names(features.get(name)) is not None],
        [name for name in schema.names if name.lower() in LABELS]], LABELS)
    split = wanted.get("split") or next((name for name in schema.names if name.lower() == "split" != label), None)
    return Columns(image, label, _class_names(features.get(label)), split, group)


def _one(where: str, schema: pyarrow.Schema, what: str, choices: Sequence[Sequence[str]], usual: Sequence[str]) -> str:
    """Return the column of the first choices that there are, if it is one, or one of them has a usual name."""
    found = next((names for names in choices if names), [])
    known = [name for name in usual for one in found if one.lower() == name]
    if len(found) == 1 or (known and what == "image"):
        return found[0] if len(found) == 1 else next(one for one in found if one.lower() == known[0])
    raise _missing(where, schema, f"has several columns that may be its {what}, {', '.join(found)}" if found else
                   f"has no column that is known for its {what}", f"?{what}=COLUMN names it")


def _missing(where: str, schema: pyarrow.Schema, why: str, mend: str = "?image=COLUMN&label=COLUMN name them") -> DataError:
    columns = [f"{field.name} ({str(field.type)[:40]})" for field in schema]
    more = f" and {len(columns) - MAX_LISTED} more" if len(columns) > MAX_LISTED else ""
    return DataError(f"data.source: {where} {why}. Its columns are {', '.join(columns[:MAX_LISTED]) or 'none'}{more}; "
                     f"{mend}, after the source's name.")


def _features(schema: pyarrow.Schema) -> Mapping[str, Any]:
    """Return what the library datasets wrote about the columns into a file."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, LookupError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _type(feature: Any) -> str:
    return str(feature.get("_type", "")) if isinstance(feature, dict) else ""


def _class_names(feature: Any) -> tuple[str, ...] | None:
    """Return the names of the classes of a column that holds their numbers, one or several a row."""
    if isinstance(feature, list) and len(feature) == 1:
        return _class_names(feature[0])
    if isinstance(feature, dict) and "feature" in feature:
        return _class_names(feature["feature"])
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


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, all but the bytes of their images.

    Args:
        where: What to call them.
        table: The columns beside the images.
        places: Of the images; None where a row has none.
    """

    where: str
    table: pyarrow.Table
    places: Sequence[Stored | None]


def entries(rows: Rows, columns: Columns, split: str) -> Iterator[Entry | Bad]:
    """Yield each row as an entry, or as bad where it has no image, no label or no split.

    Raises:
        DataError: When the labels are of a kind that names no classes.
    """
    labels = rows.table[columns.label].to_pylist()
    splits = rows.table[columns.split].to_pylist() if columns.split else [split] * len(labels)
    groups = rows.table[columns.group].to_pylist() if columns.group else [""] * len(labels)
    for row, (place, label, own, group) in enumerate(zip(rows.places, labels, splits, groups, strict=True)):
        name = f"{rows.where}[{row}]"
        names = label_names(name, label, columns.names)
        part = SPLIT_WORDS.get(str(own).strip().lower())
        if place is None:
            yield Bad(name, "no image")
        elif not names:
            yield Bad(name, "no label")
        elif part is None:
            yield Bad(name, f"split {own!r} is none of {', '.join(SPLIT_WORDS)}")
        else:
            yield Entry(place, names, part, "" if group is None else str(group))


def label_names(where: str, value: Any, names: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the labels that a value says: a name, a number, or a list of them; none for null, and for -1 with names.

    Args:
        where: For messages.
        value: Of JSON or of a table.
        names: Of the classes, by number.

    Raises:
        DataError: When it is something else, or a number that has no name.
    """
    values = value if isinstance(value, list) else [value]
    known = [one for one in values if one is not None and one != "" and not (names and one == -1)]
    if not all(isinstance(one, str | int) or (isinstance(one, float) and one.is_integer()) for one in known):
        raise DataError(f"data.source: {where}: {str(value)[:80]!r} is no label; a name, a whole number or a list of "
                        "them is needed.")
    if names is None:
        return tuple(clean(int(one) if isinstance(one, float) else one) for one in known)
    strange = [one for one in known if isinstance(one, str) or not 0 <= one < len(names)]
    if strange:
        raise DataError(f"data.source: {where}: label {strange[0]!r}, where there are names for {len(names)} classes.")
    return tuple(names[int(one)] for one in known)


def cells(file: Path, column: str, where: str, first: int = 0) -> list[Stored | None] | None:
    """Return where each image of a column of an Arrow file lies in that file; None where its bytes are compressed.

    An Arrow file holds the bytes of a column one after the other, as they are, so that any image is a slice of it.

    Args:
        file: An Arrow file or stream.
        column: Of bytes, or {bytes, path}.
        where: What to call the rows.
        first: The number of the first row.

    Raises:
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
        if bounds is None or (len(content) and not 0 <= bounds[0] <= bounds[-1] <= whole.size):
            return None
        present = content.is_valid().to_pylist()
        for row, (start, end) in enumerate(zip(bounds.tolist(), bounds[1:].tolist())):
            path = paths[row].as_py() if paths is not None and not present[row] else None
            number = first + len(places)
            places.append(Slice(str(file), start, end - start, f"{where}[{number}]") if present[row] else
                          OnDisk(path) if path else None)
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
    if not len(content) or values is None:
        return np.zeros(len(content) + 1, np.int64)
    starts = np.frombuffer(offsets, width)[content.offset:content.offset + len(content) + 1]
    moved: np.ndarray = starts.astype(np.int64) + (values.address - base)
    return moved



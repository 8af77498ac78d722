"""csv: a table of paths and labels."""
from __future__ import annotations

import csv
from pathlib import Path

from ...errors import DataError
from ..decode import said, shown
from ..settings import Settings
from .files import Entry, Listing, existing_file, images_of
from .grouping import by_pattern
from .raw import SPLIT_WORDS, Raw, clean

SHOWN = 5


def read(place: str, settings: Settings) -> Raw:
    """Decode the images of a UTF-8 table with the columns path, label and, if the splits are given, split.

    Paths are relative to the file. Split is train, val (valid, validation) or test.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    return images_of(listing(place, settings), settings)


def listing(place: str, settings: Settings) -> Listing:
    """List the files of a table.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    path = existing_file(place)
    header, lines = _lines(path)
    column = settings.group.column if settings.group else None
    missing = [word for word in ("path", "label", *([column.strip().lower()] if column else [])) if word not in header]
    if missing:
        raise DataError(f"data.source: {shown(path)} has no column {' and no column '.join(missing)}; its first line "
                        f"says {','.join(header)[:80]!r}. Columns are path,label or path,label,split.")
    if not lines:
        raise DataError(f"data.source: {shown(path)} lists no images.")
    entries = _entries(path, header, lines, column.strip().lower() if column else "")
    if settings.group and settings.group.pattern is not None:
        paths = [Path(row[header.index("path")].strip()).as_posix() for _, row in lines]
        entries = by_pattern(entries, paths, settings.group.pattern)
    return Listing(entries)


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the words of the first line, and every other that is not empty with its number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            try:
                header = [word.strip().lower() for word in next(rows, [])]
                return header, [(rows.line_num, row) for row in rows if any(row)]
            except csv.Error as error:
                raise DataError(f"data.source: {shown(path)}:{rows.line_num}: no line of a table: {error}. Close "
                                "the quotation mark before it, or shorten the field.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.source: {shown(path)} is not a table in UTF-8: {said(error)}.") from error


def _entries(path: Path, header: list[str], lines: list[tuple[int, list[str]]], group: str) -> list[Entry]:
    entries = []
    found = []
    for number, row in lines:
        cells = dict(zip(header, (cell.strip() for cell in row)))
        split = SPLIT_WORDS.get(cells.get("split", "").lower()) if "split" in header else "train"
        if not cells.get("path") or not cells.get("label"):
            found.append(f"data.source: {shown(path)}:{number}: path or label is empty.")
        elif split is None:
            found.append(f"data.source: {shown(path)}:{number}: split {cells.get('split', '')!r} is not allowed; "
                         f"split must be {', '.join(SPLIT_WORDS)}.")
        elif group and not cells.get(group):
            found.append(f"data.group.column: {shown(path)}:{number}: {group} is empty.")
        else:
            entries.append(Entry(path.parent / cells["path"], clean(cells["label"]), split, cells.get(group, "")))
    if found:
        more = [f"data.source: {shown(path)}: and {len(found) - SHOWN} more lines."] if len(found) > SHOWN else []
        raise DataError(found[:SHOWN] + more)
    if not any(entry.split == "train" for entry in entries):
        raise DataError(f"data.source: {shown(path)} has no line whose split is train.")
    return entries

"""csv: a table of paths and labels."""
from __future__ import annotations

import csv
from pathlib import Path

from ...errors import DataError
from ..decode import display_name, error_text
from ..settings import Settings
from .files import Entry, Listing, existing_file, images_of
from .grouping import by_pattern
from .raw import SPLIT_WORDS, Raw, clean

MAX_LISTED = 5


def read(location: str, settings: Settings) -> Raw:
    """Decode the images of a UTF-8 table with the columns path, label and, if the splits are given, split.

    Paths are relative to the file. Split is train, val (valid, validation) or test.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the files of a table.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    path = existing_file(location)
    header, lines = _lines(path)
    column = settings.group.column if settings.group else None
    missing = [word for word in ("path", "label", *([column.strip().lower()] if column else [])) if word not in header]
    if missing:
        raise DataError(f"data.source: {display_name(path)} has no column {' and no column '.join(missing)}; its first "
                        f"line says {','.join(header)[:80]!r}. Columns are path,label or path,label,split.")
    if not lines:
        raise DataError(f"data.source: {display_name(path)} lists no images.")
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
                raise DataError(f"data.source: {display_name(path)}:{rows.line_num}: no line of a table: {error}. "
                                "Close the quotation mark before it, or shorten the field.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.source: {display_name(path)} is not a table in UTF-8: {error_text(error)}.") from error


def _entries(path: Path, header: list[str], lines: list[tuple[int, list[str]]], group: str) -> list[Entry]:
    entries = []
    problems = []
    for number, row in lines:
        cells = dict(zip(header, (cell.strip() for cell in row)))
        split = SPLIT_WORDS.get(cells.get("split", "").lower()) if "split" in header else "train"
        if not cells.get("path") or not cells.get("label"):
            problems.append(f"data.source: {display_name(path)}:{number}: path or label is empty.")
        elif split is None:
            problems.append(f"data.source: {display_name(path)}:{number}: split {cells.get('split', '')!r} is not "
                            f"allowed; split must be {', '.join(SPLIT_WORDS)}.")
        elif group and not cells.get(group):
            problems.append(f"data.group.column: {display_name(path)}:{number}: {group} is empty.")
        else:
            entries.append(Entry(path.parent / cells["path"], (clean(cells["label"]),), split, cells.get(group, "")))
    if problems:
        left_out = len(problems) - MAX_LISTED
        more = [f"data.source: {display_name(path)}: and {left_out} more lines."] if left_out > 0 else []
        raise DataError(problems[:MAX_LISTED] + more)
    if not any(entry.split == "train" for entry in entries):
        raise DataError(f"data.source: {display_name(path)} has no line whose split is train.")
    return entries

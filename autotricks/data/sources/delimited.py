"""The text of a table: its encoding, what stands between its cells, and whether its first line names the columns."""
from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError
from ..decode import display_name, error_text
from ..settings import AUTO, Table
from .files import is_picture

DELIMITERS = ",;\t|"
NAMES = {"\t": "tab", " ": "space"}
FIRST = 8                               # bytes: in UTF-16 each second one of plain letters is zero
LOOKED = 20                             # lines by which a delimiter is found
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Sheet:
    """A table as text.

    Args:
        name: Of the file, for messages.
        header: Of each column its name; its number from 1 where the table has no header.
        rows: The number of the line, or what to call it, and the cells without spaces around them, of each row that is
            not empty.
        notices: What was found out and is not plain.
    """

    name: str
    header: list[str]
    rows: Sequence[tuple[int | str, list[str]]]
    notices: tuple[str, ...]

    def place(self, number: int | str) -> str:
        """Return what to call a row in messages."""
        return number if isinstance(number, str) else f"{self.name}:{number}"


def read(path: Path, table: Table) -> Sheet:
    """Read a table.

    Raises:
        DataError: When it is no text, or no table.
    """
    name = display_name(path)
    text, encoding = _text(path, table.encoding)
    delimiter = _delimiter(text) if table.delimiter == AUTO else table.delimiter
    rows = _rows(name, text, delimiter)
    plain = not rows or (not _is_data(rows[0][1]) if table.header == AUTO else bool(table.header))
    header = rows.pop(0)[1] if plain and rows else [str(number + 1) for number in range(max(
        (len(row) for _, row in rows), default=0))]
    notices = []
    if encoding:
        notices.append(f"{name} is not in UTF-8; it was read as {encoding}, and data.encoding says another")
    if table.delimiter == AUTO and delimiter != "," and len(header) > 1:
        notices.append(f"{name} has {NAMES.get(delimiter, delimiter)} between its cells")
    if not plain and table.header == AUTO:
        notices.append(f"{name} has no line that names its columns; they are numbered 1 to {len(header)}, and "
                       "data.header: true says otherwise")
    return Sheet(name, header, rows, tuple(notices))


def _text(path: Path, encoding: str) -> tuple[str, str]:
    """Return the text of a file, and its encoding where that is worth telling."""
    try:
        content = path.read_bytes()
        if encoding != AUTO:
            return content.decode(encoding), ""
        for mark, known in MARKS:
            if content.startswith(mark):
                return content.decode(known), ""
        for offset, known in enumerate(("utf-16-be", "utf-16-le")):
            if len(content) >= FIRST and not any(content[offset:FIRST:2]):
                return content.decode(known), ""
        return _plain(content)
    except (OSError, UnicodeError) as error:
        words = "UTF-8, UTF-16 or cp1252" if encoding == AUTO else encoding
        kind = path.suffix.lower().removeprefix(".")
        if kind in ("tar", "zip"):
            raise DataError(f"data.source: {display_name(path)} is an archive and no table. Write {kind}:{path} or the "
                            f"table in it, {kind}:{path}/FILE.csv.") from error
        raise DataError(f"data.source: {display_name(path)} is not a table in {words}: {error_text(error)}.") from error


def _plain(content: bytes) -> tuple[str, str]:
    try:
        return content.decode("utf-8"), ""
    except UnicodeDecodeError:
        if b"\0" in content:
            raise
        return content.decode("cp1252"), "cp1252"


def _delimiter(text: str) -> str:
    """Return what parts the first lines into the same number of cells, the most where several do.

    Where none does, what parts the first line; a space where nothing else does.
    """
    sample = [line for line in text.splitlines(keepends=True)[:LOOKED] if line.strip()]
    widths = {mark: _widths(sample, mark) for mark in DELIMITERS}
    parting = [mark for mark in DELIMITERS if widths[mark][:1] > [1]]
    even = [mark for mark in parting if len({*widths[mark]}) == 1]
    if even:
        return max(even, key=lambda mark: widths[mark][0])
    if parting:
        return parting[0]
    spaced = _widths(sample, " ")
    return " " if spaced and spaced[0] > 1 and len({*spaced}) == 1 else ","


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    try:
        return [len(row) for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    except csv.Error:       # which is said when the whole is read
        return []


def _rows(name: str, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        return [(number, row) for number, row in rows if any(row)]
    except csv.Error as error:
        raise DataError(f"data.source: {name}:{reader.line_num}: no line of a table: {error}. Close the quotation mark "
                        "before it, or shorten the field.") from error


def _is_data(row: Sequence[str]) -> bool:
    """Return whether a first line holds data: names of columns do not end as image files do."""
    return any(map(is_picture, row))

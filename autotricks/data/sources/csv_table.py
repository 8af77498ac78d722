"""csv: a table of paths and labels."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ...core.traits import DataTrait
from ...errors import DataError
from ...tasks import find as find_task
from ..decode import Bad, display_name
from ..settings import Settings, Splits
from .annotated import Annotated, Said, listed as listed_images
from .cells import BETWEEN, separator
from .columns import MISSING, Columns, Unlabelled, labels, named
from .delimited import Sheet, read as read_sheet
from .files import Entry, Listing, existing_file, images_of
from .grouping import by_pattern
from .raw import MORE_WORDS, SPLIT_WORDS, Raw, plain_word
from .table_files import Places

MAX_LISTED = 5


def read(location: str, settings: Settings) -> Raw:
    """Decode the images of a table: see `autotricks.data.Table` for what is found out and what may be said.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the files of a table.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    return listed(existing_file(location), settings)


def listed(path: Path, settings: Settings) -> Listing:
    """List the files of a table, on the disk or in an archive.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    sheet = read_sheet(path, settings.table)
    if DataTrait.BOXES in find_task(settings.task).brings:
        return _boxed(path, sheet, settings)
    found = entries_of(sheet, settings)
    names = [str(entry.path) for entry in found.entries]
    places = Places.of(path, settings.table, names)
    entries = list(found.entries)
    if settings.group and settings.group.pattern is not None:
        entries = by_pattern(entries, [Path(name).as_posix() for name in names], settings.group.pattern)
    entries = [replace(entry, path=places.find(name)) for entry, name in zip(entries, names, strict=True)]
    return replace(found, entries=entries, notices=(*found.notices, *places.notices))


def entries_of(sheet: Sheet, settings: Settings) -> Listing:
    """Return an entry for each row of a table that can be used, its path as it is written there.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    columns = Columns.of(sheet, settings)
    between, told = separator(sheet, columns, settings)
    lines, bad, origin = _understood(sheet, columns, settings, between)
    lines, notices = _one_line_each(lines, settings)
    entries = [Entry(Path(line.name), line.labels, line.split, line.group) for line in lines]
    return Listing(entries, bad=tuple(bad), origin=origin,
                   notices=(*sheet.notices, *columns.notices, *told, *notices, *_unmarked(sheet, columns, lines)))


def _boxed(path: Path, sheet: Sheet, settings: Settings) -> Listing:
    """List the files of a table with a row for each object; a row with neither label nor box names a background.

    Raises:
        DataError: When a column or value is missing, with the number of the line.
    """
    columns = Columns.of(sheet, settings)
    boxes = columns.boxes
    assert boxes is not None
    lines, bad, origin = _understood(sheet, columns, settings, BETWEEN)
    values = [value for line in lines for value in boxes.values(line.cells).values() if math.isfinite(value)]
    shares = all(0 <= value <= 1 for value in values) and not all(map(float.is_integer, values))
    told = ["boxes are shares of the image's width and height, as no number is above 1"] if shares else []
    places = Places.of(path, settings.table, list(dict.fromkeys(line.name for line in lines)))
    rows: dict[tuple[str, str], list[_Line]] = {}
    for line in lines:
        rows.setdefault((line.name, line.split), []).append(line)
    images = [Annotated(places.find(name), split, [boxes.marked(line.cells, line.labels, line.where) for line in same
                                                   if line.labels or not boxes.empty(line.cells)],
                        boxes.image_size(same[0].cells), shares, same[0].group) for (name, split), same in rows.items()]
    return listed_images(images, path.parent, settings, Said(bad=bad, origin=origin, notices=(
        *sheet.notices, *columns.notices, *told, *places.notices)))


def _understood(sheet: Sheet, columns: Columns, settings: Settings,
                between: str | None) -> tuple[list[_Line], list[Bad], dict[str, str]]:
    """Return what the rows of a table say, those that say too little, and where each split comes from.

    Raises:
        DataError: When there are none, or none to train on.
    """
    if not sheet.rows:
        raise DataError(f"data.source: {sheet.name} lists no images.")
    words = _Words(settings)
    lines, bad = _lines(sheet, columns, words, settings, between)
    words.require_seen(sheet, columns.split)
    if lines and not any(line.split == "train" for line in lines):
        raise DataError(f"data.source: {sheet.name} has no line whose split is train.")
    return lines, bad, {} if columns.split is None else words.origin(sheet.header[columns.split])


def _unmarked(sheet: Sheet, columns: Columns, lines: Sequence[_Line]) -> list[str]:
    """Say which columns of classes mark no image: they are no classes."""
    marked = {label for line in lines for label in line.labels}
    empty = [sheet.header[index] for index in columns.labels if named(sheet.header[index]) not in marked]
    return [f"no row has a 1 in {_listed(empty)}, which are no classes therefore"] if (
        empty and len(columns.labels) > 1) else []


class _Line(NamedTuple):
    """What a row says: the file as it is written, its labels, split and group; and where it stands, with its cells."""

    name: str
    labels: tuple[str, ...]
    split: str
    group: str
    where: str
    cells: list[str]


@dataclass
class _Words:
    """Says of which split a word is, and remembers the words of each."""

    settings: Settings
    seen: dict[str, dict[str, None]] = field(default_factory=dict)

    def split(self, cell: str) -> str | None:
        """Return the split that a cell says, None where it says none."""
        word = plain_word(cell)
        known, rest = self._known()
        split = known.get(word, rest if word not in MISSING else None)
        if split:
            self.seen.setdefault(split, {})[cell] = None
        return split

    @property
    def allowed(self) -> str:
        """What may stand there."""
        return ", ".join(self._known()[0] if self.settings.splits else SPLIT_WORDS)

    def origin(self, column: str) -> dict[str, str]:
        """Return where each split comes from."""
        return {split: f"column {column} ({_listed(list(words))})" for split, words in self.seen.items()}

    def require_seen(self, sheet: Sheet, column: int | None) -> None:
        """Refuse words that stand in no row: a split would be made by chance in their place.

        Raises:
            DataError: Naming them.
        """
        wanted = self._known()[0] if self.settings.splits or self.settings.table.fold is not None else {}
        seen = {plain_word(cell) for cells in self.seen.values() for cell in cells}
        missing = [word for word in wanted if word not in seen]
        if missing and column is not None:
            raise DataError(f"data.{'splits' if self.settings.table.fold is None else 'fold'}: the column "
                            f"{sheet.header[column]} of {sheet.name} holds no {', '.join(missing)}; it holds "
                            f"{_listed(sorted(seen)) or 'nothing else'}.")

    def _known(self) -> tuple[Mapping[str, str], str | None]:
        """Return the split of each word, and of all the others."""
        fold = self.settings.table.fold
        splits = Splits(test=(fold,)) if fold is not None else self.settings.splits
        if splits is None:
            return MORE_WORDS, None
        return splits.by_word(), None if splits.train else "train"


def _lines(sheet: Sheet, columns: Columns, words: _Words, settings: Settings,
           between: str | None) -> tuple[list[_Line], list[Bad]]:
    """Return what each row says, and the rows that say too little."""
    lines: list[_Line] = []
    bad: list[Bad] = []
    problems: list[str] = []
    one = DataTrait.ONE_LABEL in find_task(settings.task).brings
    for number, row in sheet.rows:
        where = sheet.place(number)
        split = "train" if columns.split is None else words.split(_cell(row, columns.split))
        group = "" if columns.group is None else _cell(row, columns.group)
        try:
            name, tags = _said(sheet, columns, row, between)
            if one and not tags:
                raise Unlabelled("no label")
        except Unlabelled as reason:
            bad.append(Bad(where, str(reason)))
            continue
        if split is None:
            problems.append(f"data.source: {where}: split {_cell(row, columns.split or 0)!r} is not allowed; split "
                            f"must be {words.allowed}. data.splits says other words.")
        elif columns.group is not None and not group:
            problems.append(f"data.group.column: {where}: {sheet.header[columns.group].lower()} is empty.")
        else:
            lines.append(_Line(name, tags, split, group, where, row))
    if problems:
        left_out = len(problems) - MAX_LISTED
        more = [f"data.source: {sheet.name}: and {left_out} more lines."] if left_out > 0 else []
        raise DataError(problems[:MAX_LISTED] + more)
    return lines, bad


def _one_line_each(lines: list[_Line], settings: Settings) -> tuple[list[_Line], list[str]]:
    """Return the lines with those of the same file joined where images may have several labels, and what is told."""
    rows = Counter((line.name, line.split) for line in lines)
    several = [name for (name, _), count in rows.items() if count > 1]
    if not several:
        return lines, []
    what = f"{len(several):,} files stand in several rows, such as {display_name(several[0])}"
    if DataTrait.ONE_LABEL in find_task(settings.task).brings:
        return lines, [f"{what}; each row counts as an image of its own"]
    joined: dict[tuple[str, str], _Line] = {}
    for line in lines:
        first = joined.setdefault((line.name, line.split), line)
        joined[line.name, line.split] = first._replace(labels=tuple(dict.fromkeys([*first.labels, *line.labels])))
    return list(joined.values()), [f"{what}; their labels were joined"]


def _said(sheet: Sheet, columns: Columns, row: list[str], between: str | None) -> tuple[str, tuple[str, ...]]:
    """Return path and labels of a row.

    Raises:
        Unlabelled: When it has none, or more cells than there are columns.
    """
    name = _cell(row, columns.path)
    if name.lower() in MISSING:
        raise Unlabelled("no path")
    if any(row[len(sheet.header):]):
        raise Unlabelled(f"{len(row)} cells where there are {len(sheet.header)} columns")
    return name, labels(columns, sheet.header, row, between)


def _cell(row: list[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - MAX_LISTED} more" if len(words) > MAX_LISTED else ""
    return ", ".join(words[:MAX_LISTED]) + more

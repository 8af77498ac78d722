"""Cells: whether those of a column of labels hold several, and what stands between them."""
from __future__ import annotations

from collections.abc import Iterable

from ...core.traits import DataTrait
from ...errors import DataError
from ...tasks import find as find_task
from ..decode import display_name
from ..settings import WHOLE_CELL, Settings
from .columns import MISSING, Columns
from .delimited import Sheet

BETWEEN = "\x1f"            # the labels of a list of labels: the separator of units that ASCII has
MARKS = ("|", ";", ",")     # what people write between labels, and hardly in one


def separator(sheet: Sheet, columns: Columns, settings: Settings) -> tuple[str | None, tuple[str, ...]]:
    """Return what stands between several labels in a cell, None where each is one label, and what is to be told.

    Raises:
        DataError: When cells look like several labels, and each image needs one.
    """
    told = settings.table.separator
    if len(columns.labels) > 1:
        return None, ()
    column = columns.labels[0]
    cells = dict.fromkeys(row[column].strip() for _, row in sheet.rows if column < len(row))
    if any(BETWEEN in cell for cell in cells):
        return BETWEEN, ()
    if told not in (None, BETWEEN):
        return (None if told == WHOLE_CELL else told), ()
    mark = next((mark for mark in MARKS if _fewer(cells, mark)), None)
    if mark is None:
        return told, ()
    example = display_name(next(cell for cell in cells if mark in cell))
    name = display_name(sheet.header[column])
    if DataTrait.ONE_LABEL in find_task(settings.task).brings:
        raise DataError(f"data.separator: cells of column {name} of {sheet.name} look like several labels with {mark} "
                        f"between them, such as {example}. Set data.task to multilabel, or, where each cell is one "
                        f"label, data.separator to {WHOLE_CELL}.")
    return mark, (f"cells of column {name} hold several labels with {mark} between them, such as {example}; "
                  f"data.separator: {WHOLE_CELL} takes each cell for one",)


def _fewer(cells: Iterable[str], mark: str) -> bool:
    """Return whether cells cut at a mark give fewer names than they are: the same names in other company."""
    whole = {cell for cell in cells if cell.lower() not in MISSING}
    parts = {part.strip() for cell in whole for part in cell.split(mark)} - {""}
    return len(parts) < len(whole)

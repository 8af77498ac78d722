"""Which column of a table is what: as the user says, by its name, or by what it holds."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ...core.traits import DataTrait
from ...errors import DataError
from ...tasks import find as find_task
from ..settings import ONE_HOT, Settings
from .box_columns import IGNORED, SIZES, BoxColumns
from .delimited import Sheet
from .files import is_picture
from .raw import MORE_WORDS, clean, plain_word

PATH = "path"
LABEL = "label"
SPLIT = "split"
FOLD = "fold"
PATHS = frozenset({"path", "file", "filename", "file_name", "filepath", "file_path", "image", "images", "image_path",
                   "img", "img_path", "image_id", "image_name", "imagename", "img_name", "image_file", "id", "id_code",
                   "name", "picture", "photo"})
LABELS = frozenset({"label", "labels", "class", "classes", "category", "target", "dx", "diagnosis", "species", "y",
                    "class_name", "classname", "label_name", "class_id", "label_id", "category_id", "breed", "tag",
                    "tags", "level", "grade"})
MISSING = frozenset({"", "nan"})        # what stands where nothing is known
MOST = 12                               # columns that are listed
LOOKED = 50                             # rows by which a column of paths is known

named = lru_cache(4096)(clean)          # the same few, row by row


class Unlabelled(ValueError):
    """A row that cannot be used, with the reason in words."""


@dataclass(frozen=True)
class Columns:
    """Which column is what, by number.

    Args:
        path: Of the image files.
        labels: Of the label, or of each class.
        split: Of the split, if there is one.
        group: Of the group, if there is one.
        notices: What was found out and is not plain.
        boxes: Of the objects, where these are to be found.
    """

    path: int
    labels: tuple[int, ...]
    split: int | None
    group: int | None
    notices: tuple[str, ...]
    boxes: BoxColumns | None = None

    @classmethod
    def of(cls, sheet: Sheet, settings: Settings) -> Columns:
        """Find the columns.

        Raises:
            DataError: When one is missing or there twice, or several could be meant.
        """
        return _Search(sheet, settings).found()


class _Search:
    """Finds one column after the other; what is taken is not looked at again."""

    def __init__(self, sheet: Sheet, settings: Settings):
        self._sheet = sheet
        self._names = [name.lower() for name in sheet.header]
        self._settings = settings
        self._table = settings.table
        self._notices: list[str] = []
        self._free = [index for index, name in enumerate(self._names) if name]

    def found(self) -> Columns:
        group = self._settings.group.column if self._settings.group else None
        missing = [word for word in (PATH, LABEL) if word not in self._names]
        if not self._sheet.rows and missing:
            raise DataError(f"data.source: {self._sheet.name} has no column {' and no column '.join(missing)}; its "
                            f"first line says {','.join(self._names)[:80]!r}. Columns are path,label or "
                            "path,label,split.")
        told = [self._told(name, f"data.{key}") if name else None for key, name in (
            ("path", self._table.path), ("split", self._table.split), ("group.column", group))]
        boxes = self._boxes() if DataTrait.BOXES in find_task(self._settings.task).brings else None
        path = self._path() if told[0] is None else told[0]
        labels = self._told_labels()
        split = self._split() if told[1] is None else told[1]
        labels = labels or self._labels()
        if self._free:
            self._notices.append(f"columns that are not used: {self._listed(self._free)}{self._folds()}")
        return Columns(path, labels, split, told[2], tuple(self._notices), boxes)

    def _told(self, name: str, key: str) -> int:
        """Return the column that is named; it is not looked at again.

        Raises:
            DataError: When there is none, or there are two.
        """
        places = [index for index, known in enumerate(self._names) if known == name.strip().lower()]
        if not places:
            raise DataError(f"{key}: {self._sheet.name} has no column {name.strip()}; its columns are "
                            f"{self._listed(range(len(self._names)))}. Name one of them.")
        if len(places) > 1:
            raise DataError(f"{key}: {self._sheet.name} has {len(places)} columns called {name!r}. Give each its own "
                            "name.")
        return self._taken(places[0])

    def _taken(self, index: int) -> int:
        self._free = [other for other in self._free if other != index]
        return index

    def _boxes(self) -> BoxColumns:
        """Return the columns of boxes, and those that say more of objects and images.

        Raises:
            DataError: When there are none.
        """
        form = self._table.box or BoxColumns.by_name(self._names)
        if form is None:
            raise DataError(f"data.box: which columns of {self._sheet.name} are the edges of boxes is not clear: its "
                            f"columns are {self._listed(self._free)}. Name them: data.box: {{left: A, top: B, right: "
                            "C, bottom: D}, or width and height instead of right and bottom.")
        edges = {name: self._told(column, f"data.box.{name}") for name, column in form.told().items()}
        free = [self._names[index] for index in self._free]
        ignored = self._table.ignored or next((name for name in IGNORED if name in free), None)
        size = next((pair for pair in SIZES if free.count(pair[0]) == free.count(pair[1]) == 1), None)
        sides = (self._told(size[0], "data.box"), self._told(size[1], "data.box")) if size else None
        return BoxColumns(edges, self._told(ignored, "data.ignored") if ignored else None, sides)

    def _path(self) -> int:
        if PATH in self._names:
            return self._told(PATH, "data.path")
        ends = [index for index in self._free if self._holds(index, is_picture)]
        named = [index for index in self._free if self._names[index] in PATHS]
        both = [index for index in ends if index in named]
        return self._clear(next((one for one in (both, ends, named) if one), []), "path", "names the image files")

    def _split(self) -> int | None:
        if self._table.fold is not None:
            return self._told(FOLD, "data.fold")
        if SPLIT in self._names:
            return self._told(SPLIT, "data.split")
        words = self._settings.splits.by_word() if self._settings.splits else MORE_WORDS
        saying = [index for index in self._free if self._says_split(index, words)]
        if not saying and self._settings.splits:
            raise DataError(f"data.splits: no column of {self._sheet.name} holds these words alone. Name the column: "
                            "data.split.")
        return self._clear(saying, "split", "says the split of each image") if saying else None

    def _says_split(self, index: int, words: Mapping[str, str]) -> bool:
        held = {plain_word(row[index]) if index < len(row) else "" for _, row in self._sheet.rows}
        splits = {words.get(word, "") for word in held}
        return "" not in splits and len(splits) > 1

    def _told_labels(self) -> tuple[int, ...]:
        label = self._table.label
        if label == (ONE_HOT,):
            return ()
        wanted = label or (LABEL,) * (LABEL in self._names)
        return tuple(self._told(name, "data.label") for name in wanted)

    def _labels(self) -> tuple[int, ...]:
        flags = [index for index in self._free if self._holds(index, _is_flag, whole=True)]
        if self._table.label == (ONE_HOT,):
            return self._one_hot(flags)
        named = [index for index in self._free if self._names[index] in LABELS]
        if not named and len(flags) == len(self._free) > 1 and all(self._ones(flags)):
            return self._one_hot(flags)
        left = named or (self._free if len(self._free) == 1 else [])
        if not left and len(flags) > 1:
            raise DataError(f"data.label: which column of {self._sheet.name} holds the label is not clear; "
                            f"{len(flags)} hold 0 and 1 alone: {self._listed(flags)}. data.label: one-hot takes each "
                            "for a class; else name the column.")
        return self._clear(left, "label", "holds the label"),

    def _ones(self, flags: Sequence[int]) -> Iterator[bool]:
        """Yield of each row whether it has a single 1."""
        return (sum(flagged(row, index) for index in flags) == 1 for _, row in self._sheet.rows)

    def _one_hot(self, flags: Sequence[int]) -> tuple[int, ...]:
        if len(flags) < 2:
            raise DataError(f"data.label: {self._sheet.name} has {len(flags)} columns that hold 0 and 1 alone; one-hot "
                            "needs one for each class. Name them: data.label: [A, B].")
        self._notices.append(f"a class for each column of 0 and 1: {self._listed(flags)}")
        return tuple(map(self._taken, flags))

    def _clear(self, candidates: Sequence[int], key: str, what: str) -> int:
        """Return the only candidate, and note it.

        Raises:
            DataError: When there are none, or several.
        """
        if len(candidates) == 1:
            self._notices.append(f"column {self._sheet.header[candidates[0]]} {what}; data.{key} names another")
            return self._taken(candidates[0])
        could = f"{self._listed(candidates)} could" if candidates else f"its columns are {self._listed(self._free)}"
        raise DataError(f"data.{key}: which column of {self._sheet.name} {what} is not clear: {could}. Name it: "
                        f"data.{key}: COLUMN.")

    def _holds(self, index: int, test: Callable[[str], bool], whole: bool = False) -> bool:
        """Return whether what stands in a column is of a kind; empty cells do not count, and one must be there."""
        rows = self._sheet.rows if whole else self._sheet.rows[:LOOKED]
        cells = [row[index] for _, row in rows if index < len(row) and row[index].lower() not in MISSING]
        return bool(cells) and all(map(test, cells))

    def _listed(self, indices: Sequence[int]) -> str:
        names = [self._sheet.header[index] or "(no name)" for index in indices]
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        return (", ".join(names[:MOST]) or "none") + more

    def _folds(self) -> str:
        """Return what could be done with a column of folds that is not used."""
        folds = any(FOLD in self._names[index] for index in self._free)
        return "; data.fold: K holds the images of fold K out as test" if folds else ""


def flagged(row: Sequence[str], index: int) -> bool:
    """Return whether a cell of 0 or 1 is a 1.

    Raises:
        Unlabelled: When it is neither.
    """
    cell = row[index] if index < len(row) else ""
    if not _is_flag(cell):
        raise Unlabelled(f"{cell!r} where 0 or 1 is needed")
    return float(cell) == 1


def _is_flag(cell: str) -> bool:
    try:
        return float(cell) in (0.0, 1.0)
    except ValueError:
        return False


def labels(columns: Columns, header: Sequence[str], row: Sequence[str], separator: str | None) -> tuple[str, ...]:
    """Return the names of the labels of a row; a row of zeros has none, nor has an empty cell that may hold several.

    Raises:
        Unlabelled: When it says nothing.
    """
    if len(columns.labels) > 1:
        return tuple(named(header[index]) for index in columns.labels if flagged(row, index))
    cell = row[columns.labels[0]] if columns.labels[0] < len(row) else ""
    if separator is not None:
        names = (named(name) for name in cell.split(separator) if name.strip().lower() not in MISSING)
        return tuple(dict.fromkeys(names))
    if cell.lower() in MISSING:
        raise Unlabelled("no label")
    return named(cell),

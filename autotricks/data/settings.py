"""Settings: the `data:` section of a space file, checked."""
from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from ..errors import DataError
from ..tasks import TASKS
from .fitting import FITS, Size

AUTO = "auto"
ONE_HOT = "one-hot"
SPLITS = ("train", "validation", "test")
FOLDERS = ("image_folder", "zip", "tar")
BOXES = (("left", "top", "right", "bottom"), ("left", "top", "width", "height"), ("x", "y", "width", "height"))
WHOLE_CELL = "none"     # of a separator: a cell is one label
COLUMNS = ("path", "label", "separator", "split", "fold")


def _whole(value: Any, low: int, high: float = math.inf) -> bool:
    return type(value) is int and low <= value <= high


def _real(value: Any, low: float, high: float = math.inf) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high


def _height_and_width(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(_whole(side, 1) for side in value)


@dataclass(frozen=True)
class Group:
    """Which images belong together, so that no two splits share an object; one of the two is given.

    Args:
        column: Of a csv source, whose words name the groups.
        pattern: A regular expression with one group, searched in the path of an image relative to its source.
    """

    column: str | None = None
    pattern: str | None = None

    def problems(self) -> list[str]:
        """Return one line for each thing that cannot be."""
        if (self.column is None) == (self.pattern is None):
            return ["data.group: give either column or pattern."]
        if self.column is not None and self.column.strip().lower() in ("", "path", "label", "split"):
            return [f"data.group.column: {self.column!r} is not allowed; take one beside path, label and split."]
        try:
            count = re.compile(self.pattern or "()").groups
        except (re.error, OverflowError, RecursionError) as error:
            return [f"data.group.pattern: {self.pattern!r} is no regular expression: {error}."]
        return [] if count == 1 else [
            f"data.group.pattern: {self.pattern!r} has {count} groups in parentheses; it must have one, which finds "
            "the object's name. (?:...) groups without counting."]


@dataclass(frozen=True)
class Splits:
    """Which folders, or which words of a table's column, are which split; all others are train where it is left out."""

    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def by_word(self) -> dict[str, str]:
        """Return the split of each word, in small letters."""
        return {word.strip().lower(): split for split in SPLITS for word in getattr(self, split)}

    def problems(self) -> list[str]:
        """Return one line for each thing that cannot be."""
        words = [word.lower() for split in SPLITS for word in getattr(self, split)]
        twice = sorted({word for word in words if words.count(word) > 1})
        if twice:
            return [f"data.splits: {', '.join(map(repr, twice))} cannot be in two splits. Name each once."]
        return [] if words else ["data.splits: name at least one, such as {train: Training, test: Testing}."]


@dataclass(frozen=True)
class Box:
    """Which columns of a table are the box of an object: two corners, or one or the center with width and height."""

    left: str | None = None
    top: str | None = None
    right: str | None = None
    bottom: str | None = None
    width: str | None = None
    height: str | None = None
    x: str | None = None
    y: str | None = None

    def told(self) -> dict[str, str]:
        """Return the column of each that is given."""
        return {one.name: name for one in fields(self) if (name := getattr(self, one.name)) is not None}

    def problems(self) -> list[str]:
        """Return one line for each thing that cannot be."""
        told = self.told()
        if any(not name.strip() for name in told.values()):
            return ["data.box: a name is empty. Write it, or leave it out."]
        return [] if {*told} in map(set, BOXES) else [
            f"data.box: {', '.join(told) or 'nothing'} is not allowed; box must name the columns of "
            f"{', or of '.join(', '.join(names) for names in BOXES)}, x and y being the center."]


@dataclass(frozen=True)
class Table:
    """How a table is read. Columns are named in any case; those of a table without a header are numbered from 1.

    Args:
        path: The column of the image files. None: found by its name, or by what it holds.
        label: The column of the label; several columns of 0 and 1, one for each class; or `one-hot`, all such columns.
            Nothing: found by its name, or the only one that is left.
        separator: What stands between several labels in a cell; `none`: a cell is one label. None: found by what the
            cells of a table hold; in shards a text is one label.
        split: The column that says the split. None: the one called split, or one that holds nothing but such words.
        fold: The word of the column `split`, or else `fold`, whose images are held out as test. Validation is cut from
            the others, which is what cross-validation reports.
        folder: Where the paths begin, from the table on. Several: a file is looked for in each.
        suffix: Of the files, where the paths have none.
        delimiter: Between the cells, or auto.
        encoding: Of the text, as Python names it, or auto: UTF-8, UTF-16 by its mark, else cp1252.
        header: Whether the first line names the columns, or auto.
        box: The columns of the box, where objects are to be found. None: found by their names.
        ignored: The column of 1 where finding an object is neither right nor wrong. None: found by its name.
    """

    path: str | None = None
    label: tuple[str, ...] = ()
    separator: str | None = None
    split: str | None = None
    fold: str | None = None
    folder: tuple[str, ...] = ()
    suffix: str | None = None
    delimiter: str = AUTO
    encoding: str = AUTO
    header: bool | str = AUTO
    box: Box | None = None
    ignored: str | None = None

    def problems(self) -> list[str]:
        """Return one line for each thing that cannot be."""
        words = {"path": (self.path,), "label": self.label, "separator": (self.separator,), "split": (self.split,),
                 "fold": (self.fold,), "folder": self.folder, "suffix": (self.suffix,), "ignored": (self.ignored,)}
        lines = [f"data.{name}: a name is empty. Write it, or leave {name} out." for name, given in words.items()
                 if "" in given]
        if self.delimiter != AUTO and len(self.delimiter) != 1:
            lines.append(f"data.delimiter: {self.delimiter!r} is not allowed; delimiter must be one character or auto.")
        try:
            codecs.lookup("utf-8" if self.encoding == AUTO else self.encoding)
        except (LookupError, ValueError):
            lines.append(f"data.encoding: {self.encoding!r} is not allowed; encoding must be auto or one that Python "
                         "knows, such as utf-8, utf-16 or cp1252.")
        if not isinstance(self.header, bool) and self.header != AUTO:
            lines.append(f"data.header: {self.header!r} is not allowed; header must be true, false or auto.")
        if len(self.label) > 1 and self.separator:
            lines.append("data.separator: several columns of labels have no cells with several. Leave it out.")
        return lines + (self.box.problems() if self.box else [])


WHOLE_TABLE = tuple(one.name for one in fields(Table))
# The keys of a table that each source heeds; those that are here have paths or columns to group and split by, too.
TABLE_KEYS = {"csv": WHOLE_TABLE, "zip": WHOLE_TABLE, "tar": WHOLE_TABLE, "parquet": COLUMNS, "hf": COLUMNS,
              "webdataset": ("path", "label", "separator"), "image_folder": (), "coco": (), "voc": (), "yolo": ()}
LEGAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "source": (lambda value: isinstance(value, str) and bool(value.strip()), "text such as digits or csv:PATH"),
    "task": (lambda value: value in TASKS, f"one of {', '.join(TASKS)}"),
    "size": (lambda value: value is None or _whole(value, 1) or _height_and_width(value),
             "a whole number of pixels >= 1, or two, height and width, or left out"),
    "channels": (lambda value: value is None or (_whole(value, 1, 3) and value != 2),
                 "1 (gray) or 3 (color), or left out"),
    "fit": (lambda value: value in FITS, f"one of {', '.join(FITS)}"),
    "classes": (lambda value: value in (None, "first", "leaf"), "first or leaf, or left out"),
    "rare": (lambda value: value in ("keep_in_train", "drop"), "keep_in_train or drop"),
    "normalize": (lambda value: value in ("weights", "data"), "weights or data"),
    "imbalance": (lambda value: value is None or _real(value, 1), ">= 1 (largest class / smallest class), or left out"),
    "validation": (lambda value: _real(value, 0, 1) and 0 < value < 1, "a fraction > 0 and < 1"),
    "test": (lambda value: _real(value, 0, 1) and 0 < value < 1, "a fraction > 0 and < 1"),
    "seed": (lambda value: _whole(value, 0, 2**32 - 1), "a whole number from 0 to 4294967295"),
    "max_bad": (lambda value: _real(value, 0, 1), "a share from 0 to 1"),
    "duplicates": (lambda value: value in ("keep", "drop"), "keep or drop"),
    "memory": (lambda value: value is None or _real(value, 0), "GiB >= 0, or left out"),
    "workers": (lambda value: value is None or _whole(value, 0, 256), "a whole number from 0 to 256, or left out"),
    "prefetch": (lambda value: value is None or _whole(value, 1, 1024), "a whole number from 1 to 1024, or left out"),
}


@dataclass(frozen=True)
class Settings:
    """Say which images to load and how to split them.

    Args:
        source: Where images and labels come from; see `autotricks.data`.
        task: What is to be learned; see `autotricks.tasks`.
        size: Side in pixels that images are brought to, or height and width. None: as the images are.
        fit: How: `crop` fills it and cuts out the center; `pad` shows the whole image, on black; `squash` stretches
            each side to it, whatever the shape.
        channels: 1 for gray, 3 for color. None: as the data is.
        normalize: With which mean and deviation: those that pretrained `weights` were trained with, where there are
            some, or those of the `data` at hand.
        imbalance: Factor n_max / n_min of the exponential long tail of the training split. None: as it is.
        validation: Fraction of the training images held out where the source has no validation split.
        test: Fraction of the training images held out, before validation, where the source has no test split.
        seed: Seed of splits and long tail.
        max_bad: Share of unreadable files above which loading refuses.
        duplicates: What becomes of training images that are, pixel for pixel, in validation or test too, and of
            validation images that are in test: `drop` takes them out; `keep` counts them and leaves them, so that
            published splits stay comparable and images that are rightly equal, such as small scans, are not lost.
        group: Which images belong together and are never parted by a split. None: each stands for itself.
        splits: Which folders, or words of a table, are which split. None: by their names.
        classes: Of image folders that lie deeper: whether the `first` folder names the class, or the `leaf` that the
            file lies in. None: the first, where that is clear.
        rare: What becomes of classes with too few images to be in every split that is cut: `keep_in_train` cuts none
            of their images, `drop` leaves them out.
        table: How a table is read.
        memory: GiB that image files may take when decoded; those that take more are streamed. None: what is free.
        workers: Processes that decode what is streamed, beside each training. None: 2.
        prefetch: Batches that each of them holds ready. None: 2.

    Raises:
        DataError: With one line for each value that is not allowed.
    """

    source: str = "digits"
    task: str = "classification"
    size: Size | None = None
    fit: str = "crop"
    channels: int | None = None
    normalize: str = "weights"
    imbalance: float | None = None
    validation: float = 0.25
    test: float = 0.25
    seed: int = 0
    max_bad: float = 0.01
    duplicates: str = "keep"
    group: Group | None = None
    splits: Splits | None = None
    classes: str | None = None
    rare: str = "keep_in_train"
    table: Table = Table()
    memory: float | None = None
    workers: int | None = None
    prefetch: int | None = None

    def room(self, free: int) -> float:
        """Return the bytes that images in memory may take, of those that are free."""
        return free if self.memory is None else min(free, self.memory * 2**30)

    def __post_init__(self) -> None:
        problems = [f"data.{name}: {getattr(self, name)!r} is not allowed; {name} must be {words}."
                    for name, (legal, words) in LEGAL.items() if not legal(getattr(self, name))]
        for section in (self.group, self.splits, self.table):
            problems += section.problems() if section else []
        problems += self._elsewhere()
        if problems:
            raise DataError(problems)

    def _elsewhere(self) -> list[str]:
        """Return one line for each key that says something of another kind of source."""
        word = str(self.source).partition(":")[0]
        lines = []
        if self.group and word not in TABLE_KEYS:
            lines.append(f"data.group: {self.source} has neither paths nor columns. Leave it out, or bring the "
                         "images as image_folder or csv.")
        if self.splits and word not in TABLE_KEYS:
            lines.append(f"data.splits: {self.source} has neither folders nor columns. Leave it out.")
        if self.classes and word not in FOLDERS:
            lines.append(f"data.classes: {self.source} has no folders. Leave it out.")
        if self.splits and self.table.fold is not None:
            lines.append("data.fold: with data.splits there are two answers to which images are held out. Give one.")
        heeded = TABLE_KEYS.get(word, ())
        why = (f"heeds {', '.join(heeded)} alone. Leave it out." if heeded else
               "is no table. Leave it out, or bring the images as csv:PATH.")
        told = [name for name in WHOLE_TABLE if getattr(self.table, name) != getattr(Table(), name)]
        return lines + [f"data.{name}: {self.source} {why}" for name in told if name not in heeded]

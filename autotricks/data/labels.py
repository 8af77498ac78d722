"""Label names to numbers, and whether the splits agree about the classes."""
from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from torch import Tensor

from ..core.targets import Targets
from ..core.task import Task
from ..core.traits import DataTrait
from ..errors import DataError

Flags = Sequence[Sequence[bool]]
MAX_LISTED = 5
DIGITS = sys.int_info.str_digits_check_threshold   # that Python reads whatever it is set to


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names, sorted; by value if all of them are whole numbers, and none a very long one."""
    distinct = set(names)
    numeric = all(name.removeprefix("-").isdecimal() and len(name) <= DIGITS for name in distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name), name) if numeric else (0, name)))


def encode(labels: Mapping[str, Sequence[tuple[str, ...]]], classes: Sequence[str] | None,
           task: Task, boxes: Mapping[str, Sequence[Tensor] | None] = MappingProxyType({}),
           ignored: Mapping[str, Flags | None] = MappingProxyType({})) -> tuple[tuple[str, ...], dict[str, Targets]]:
    """Number the labels.

    Args:
        labels: Names of the labels of each row by split; `train` is there.
        classes: Names in the order of their numbers; sorted from the training labels if None.
        task: Says whether each image must have one label, and whether labels must have boxes.
        boxes: Of the labels of each row, [K, 4], by split.
        ignored: Whether each label of each row is to be ignored, by split; none is where that is left out.

    Returns:
        The classes, and targets by split.

    Raises:
        DataError: When an image has no label, or several, and the task wants one; there is one class only, a class has
            no training image, or a split has classes that train has not.
    """
    if DataTrait.ONE_LABEL in task.brings:
        _require_one(labels)
    if DataTrait.BOXES in task.brings and any(boxes.get(split) is None for split in labels):
        raise DataError("data.source: its labels have no boxes, and data.task wants objects to be found. Name a source "
                        "with boxes, or set data.task to classification or multilabel.")
    present = {split: {name for row in rows for name in row} for split, rows in labels.items()}
    known = tuple(classes) if classes is not None else ordered(present["train"])
    numbers = {name: number for number, name in enumerate(known)}
    if not labels["train"]:
        raise DataError("data.source: there are no training images.")
    if not known:
        raise DataError("data.source: no training image has a label.")
    if len(known) < 2 and DataTrait.ONE_LABEL in task.brings:
        raise DataError(f"data.source: every training image is of class {known[0]!r}; at least 2 classes are needed.")
    empty = [name for name in known if name not in present["train"]]
    if empty:
        raise DataError(f"data.source: no training images that can be read in class {_listed(empty)}.")
    problems = [line for split, here in present.items() for line in _differences(split, here, known)]
    if problems:
        raise DataError(problems)
    found = boxes if DataTrait.BOXES in task.brings else {}
    return known, {split: Targets.sets([[numbers[name] for name in row] for row in rows], found.get(split),
                                       ignored.get(split)) for split, rows in labels.items()}


def _require_one(labels: Mapping[str, Sequence[tuple[str, ...]]]) -> None:
    """Refuse images without a label or with several.

    Raises:
        DataError: With how many there are, and the labels of the first.
    """
    wrong = [row for rows in labels.values() for row in rows if len(row) != 1]
    if wrong:
        first = f"the labels {_listed(wrong[0])}" if wrong[0] else "none"
        raise DataError(f"data.source: {len(wrong)} images have no label or several, the first of them {first}; each "
                        "needs one here. Set data.task to multilabel where images may have several.")


def _differences(split: str, here: set[str], known: Sequence[str]) -> list[str]:
    strange = ordered(here - set(known))
    if not strange:
        return []
    return [f"data.source: the classes of {split} and train differ: {split} has {_listed(strange)}, which train has "
            f"not. Add training images of every class; without {split} images at all, they are split off from train."]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(repr(name) for name in names[:MAX_LISTED]) + more

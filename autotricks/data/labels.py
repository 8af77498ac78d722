"""Label names to numbers, and whether the splits agree about the classes."""
from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ..errors import DataError

MAX_LISTED = 5
DIGITS = sys.int_info.str_digits_check_threshold   # that Python reads whatever it is set to


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names, sorted; by value if all of them are whole numbers, and none a very long one."""
    distinct = set(names)
    numeric = all(name.removeprefix("-").isdecimal() and len(name) <= DIGITS for name in distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name), name) if numeric else (0, name)))


def encode(names: Mapping[str, Sequence[str]], classes: Sequence[str] | None) -> tuple[tuple[str, ...],
                                                                                        dict[str, Tensor]]:
    """Number the labels.

    Args:
        names: Label of each row by split; `train` is there.
        classes: Names in the order of their numbers; sorted from the training labels if None.

    Returns:
        The classes, and labels [N], int64, by split.

    Raises:
        DataError: When there is one class only, a class has no training image, or a split has other classes.
    """
    known = tuple(classes) if classes is not None else ordered(names["train"])
    numbers = {name: number for number, name in enumerate(known)}
    present = {split: set(labels) for split, labels in names.items()}
    if not present["train"]:
        raise DataError("data.source: there are no training images.")
    if len(known) < 2:
        raise DataError(f"data.source: every training image is of class {known[0]!r}; at least 2 classes are needed.")
    empty = [name for name in known if name not in present["train"]]
    if empty:
        raise DataError(f"data.source: no training images that can be read in class {_listed(empty)}.")
    problems = [line for split, here in present.items() for line in _differences(split, here, known)]
    if problems:
        raise DataError(problems)
    return known, {split: torch.tensor([numbers[name] for name in labels]) for split, labels in names.items()}


def _differences(split: str, here: set[str], known: Sequence[str]) -> list[str]:
    strange = ordered(here - set(known))
    missing = [name for name in known if name not in here]
    words = ([f"has {_listed(strange)}, which train has not"] if strange else []) + (
        [f"has no images of {_listed(missing)}"] if missing else [])
    if not words:
        return []
    return [f"data.source: the classes of {split} and train differ: {split} {' and '.join(words)}. Every split needs "
            f"every class; without {split} images at all, they are split off from train."]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(repr(name) for name in names[:MAX_LISTED]) + more

"""Folds: train and validation together, dealt into parts of which each validates once."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..core.dataset import Dataset
from ..core.targets import Targets
from ..errors import DataError
from . import groups
from .splits import shuffled, strata

ALWAYS = -1         # the number of images that train in every fold
MAX_LISTED = 5


def with_folds(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Return a data set whose images of train and validation are dealt into folds; test is in none of them.

    Folds are stratified. Images of one group are in one fold. Without groups, folds differ by at most one image, in
    each class too, and the only image of a class trains in all of them.

    Args:
        dataset: With a validation split that is not test.
        count: Of the folds, at least 2.
        seed: Seed of the draw.

    Raises:
        DataError: When there are too few images, or too few groups of a class, for so many folds.
    """
    targets = dataset.train.targets.followed(dataset.validation.targets)
    labels = strata(targets, len(dataset.classes))
    together = [split.groups for split in (dataset.train, dataset.validation) if split.groups is not None]
    if len(together) < 2:
        return replace(dataset, folds=dealt(labels, count, seed))
    names = torch.cat(together).tolist()
    _require(targets, names, dataset.classes, count)
    return replace(dataset, folds=grouped(labels, names, count, seed))


def dealt(labels: Tensor, count: int, seed: int) -> Tensor:
    """Return the fold of each image: those of each class in turn, in an order drawn with `seed`, as cards are dealt.

    Shapes:
        labels: [N], int64, each class at least once.
        returns: [N], int64; -1 for the only image of a class.

    Raises:
        DataError: When a fold is left without an image.
    """
    numbers = torch.full_like(labels, ALWAYS)
    first = 0
    for rows in shuffled(labels, seed):
        if len(rows) > 1:
            numbers[rows] = (first + torch.arange(len(rows))) % count
            first += len(rows)
    if first < count:
        raise DataError(f"confirm.folds: {first} images of train and validation are too few for {count} folds. "
                        "Take fewer folds.")
    return numbers


def grouped(labels: Tensor, together: Sequence[int], count: int, seed: int) -> Tensor:
    """Return the fold of each image; every class has a group in each fold. See `autotricks.data.groups.cut`.

    Args:
        labels: [N], int64, each class at least once.
        together: The group of each image.
        count: Of the folds.
        seed: Seed of the draw.

    Shapes:
        returns: [N], int64.

    Raises:
        DataError: When no draw leaves a group of each class in each fold.
    """
    fractions = {str(number): 1 / (count - number) for number in range(count - 1)}     # of what is left
    numbers = torch.full_like(labels, count - 1)
    for name, rows in groups.cut(labels, together, fractions, seed).items():
        if name in fractions:
            numbers[rows] = int(name)
    return numbers


def _require(targets: Targets, together: Sequence[int], classes: tuple[str, ...], count: int) -> None:
    """Refuse classes with fewer groups than folds."""
    pairs = {(label, group) for row, group in zip(targets.listed(), together, strict=True) for label in row}
    sizes = np.bincount([label for label, _ in pairs], minlength=len(classes))
    few = [f"{name!r} ({size})" for name, size in zip(classes, sizes, strict=True) if size < count]
    if few:
        more = f" and {len(few) - MAX_LISTED} more" if len(few) > MAX_LISTED else ""
        raise DataError(f"confirm.folds: too few groups for {count} folds in class {', '.join(few[:MAX_LISTED])}{more}"
                        f"; each class needs {count}. Take fewer folds, or confirm.seeds.")

"""Folds: train and validation together, dealt into parts of which each validates once."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..core.dataset import Dataset
from ..errors import DataError
from . import groups
from .rare import pinned
from .splits import shuffled, strata

ALWAYS = -1         # the number of images that train in every fold


def with_folds(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Return a data set whose images of train and validation are dealt into folds; test is in none of them.

    Folds are stratified. Without groups they differ by at most one image, in each class too, and the only image of a
    class trains in all of them. With groups each of these is in one fold, and a class with fewer groups than folds
    trains in all of them.

    Args:
        dataset: With a validation split that is not test.
        count: Of the folds, at least 2.
        seed: Seed of the draw.

    Raises:
        DataError: When there are too few images, or no class has enough groups, for so many folds.
    """
    labels = strata(dataset.train.targets.followed(dataset.validation.targets), len(dataset.classes))
    numbered = [split.groups for split in (dataset.train, dataset.validation) if split.groups is not None]
    together = [*map(str, torch.cat(numbered).tolist())] if len(numbered) == 2 else None
    stays = pinned(labels, together, count - 1 if together else 1)
    free = (~stays).nonzero().squeeze(1)
    if len(free) < count:
        what = "groups of any class" if together else "images"
        raise DataError(f"confirm.folds: train and validation have too few {what} for {count} folds. Take fewer folds, "
                        "or confirm.seeds.")
    dense = labels[free].unique(return_inverse=True)[1]
    numbers = torch.full_like(labels, ALWAYS)
    numbers[free] = (grouped(dense, [together[row] for row in free.tolist()], count, seed) if together
                     else dealt(dense, count, seed))
    return replace(dataset, folds=numbers)


def dealt(labels: Tensor, count: int, seed: int) -> Tensor:
    """Return the fold of each image: those of each class in turn, in an order drawn with `seed`, as cards are dealt.

    Shapes:
        labels: [N], int64, each class at least once.
        returns: [N], int64.
    """
    numbers = torch.empty_like(labels)
    numbers[torch.cat(shuffled(labels, seed))] = torch.arange(len(labels)) % count
    return numbers


def grouped(labels: Tensor, together: Sequence[str], count: int, seed: int) -> Tensor:
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

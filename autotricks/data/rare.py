"""Rare classes: those with too few images, or groups of them, to be in every split that is cut."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.images import subset
from .sources import Part


def few(labels: Sequence[Sequence[str]], groups: Sequence[str] | None, cuts: Sequence[str]) -> list[str]:
    """Return the classes that have no more training images, or groups, than there are splits to cut, sorted."""
    members = defaultdict[str, set[str]](set)
    for row, group in zip(labels, groups or map(str, range(len(labels))), strict=True):
        for name in row:
            members[name].add(group)
    return sorted(name for name, held in members.items() if len(held) <= len(cuts))


def without(parts: Mapping[str, Part], names: Sequence[str]) -> dict[str, Part]:
    """Return the parts without some classes, and without the images that were of these alone."""
    gone = set(names)
    return {split: _without(part, gone) for split, part in parts.items()}


def _without(part: Part, gone: set[str]) -> Part:
    rows = [row for row, names in enumerate(part.labels) if not names or not gone.issuperset(names)]
    stay = [[place for place, name in enumerate(part.labels[row]) if name not in gone] for row in rows]
    return Part(subset(part.images, torch.tensor(rows, dtype=torch.int64)),
                [tuple(part.labels[row][place] for place in places) for row, places in zip(rows, stay)],
                None if part.groups is None else [part.groups[row] for row in rows],
                None if part.boxes is None else [part.boxes[row][places] for row, places in zip(rows, stay)],
                None if part.ignored is None else [[part.ignored[row][place] for place in places]
                                                   for row, places in zip(rows, stay)])


def pinned(labels: Tensor, groups: Sequence[str] | None, cuts: int) -> Tensor:
    """Return which images stay in train whatever is cut, [N] bool: those of rare classes, with their groups.

    A group that stays is taken from its other classes, which may become rare by that.

    Args:
        labels: By which class each image is drawn, [N], int64.
        groups: Of each image; None: each stands for itself.
        cuts: How many splits are cut.
    """
    group = np.unique(groups, return_inverse=True)[1] if groups else np.arange(len(labels))
    pairs = np.unique(np.stack([labels.numpy(), group]), axis=1)
    stays = np.zeros(group.max() + 1, bool)
    while True:
        free = pairs[:, ~stays[pairs[1]]]
        scarce = np.bincount(free[0], minlength=1) <= cuts
        if not scarce[free[0]].any():
            return torch.from_numpy(stays[group])
        stays[free[1][scarce[free[0]]]] = True

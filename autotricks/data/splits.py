"""Stratified, seeded splits."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.targets import Targets
from ..errors import DataError


def shuffled(labels: Tensor, seed: int) -> list[Tensor]:
    """Return the rows of each class, in an order drawn with `seed`.

    Shapes:
        labels: [N], int64, each class at least once.
    """
    # RandomState, not default_rng: NumPy promises that its numbers never change between versions.
    return [rows[torch.from_numpy(np.random.RandomState([seed, label]).permutation(len(rows)))]
            for label, rows in enumerate(_rows(labels))]


def strata(targets: Targets, classes: int) -> Tensor:
    """Return by which class each image is drawn into splits, [N], int64: the rarest of its labels.

    Images without a label are one more class. Numbers are made dense: each has an image.
    """
    counts = targets.counts(classes)
    rarity = torch.cat([counts, counts.new_full((1,), len(targets) + 1)])
    labels = torch.where(targets.shares > 0, targets.labels, classes).flatten(1)
    rarest = labels.gather(1, rarity[labels].argmin(1, keepdim=True)).squeeze(1)
    dense: Tensor = rarest.unique(return_inverse=True)[1]
    return dense


def hold_out(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Hold out a fraction of each class, at least one image and never all.

    Args:
        labels: Labels, [N], int64, each class at least twice.
        fraction: Held out of each class, rounded to the nearest number of images; in (0, 1).
        seed: Seed of the draw.

    Returns:
        The rows that stay and the rows held out, each ascending.
    """
    held = []
    for rows in shuffled(labels, seed):
        count = math.floor(fraction * len(rows) + 0.5)
        held.append(rows[:min(max(count, 1), len(rows) - 1)])
    out = torch.cat(held).sort().values
    stay = torch.ones(len(labels), dtype=torch.bool)
    stay[out] = False
    return stay.nonzero().squeeze(1), out


def require(targets: Targets, classes: Sequence[str], cuts: Sequence[str]) -> None:
    """Refuse classes with too few images to be cut into train and `cuts`.

    Raises:
        DataError: Naming them.
    """
    images = Counter(label for row in targets.listed() for label in row)
    counts = [images[label] for label in range(len(classes))]
    few = [f"{name!r} ({count})" for name, count in zip(classes, counts) if count <= len(cuts)]
    if few:
        raise DataError(f"data.source: too few images to split off {' and '.join(cuts)} in class{_listed(few)}; "
                        f"each class needs {len(cuts) + 1}. Add images, drop the class, or give the splits yourself.")


def _rows(labels: Tensor) -> tuple[Tensor, ...]:
    return torch.split(labels.argsort(stable=True), torch.bincount(labels).tolist())


def _listed(words: list[str], most: int = 5) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ("es " if len(words) > 1 else " ") + ", ".join(words[:most]) + more

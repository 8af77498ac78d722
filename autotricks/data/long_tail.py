"""The exponential long tail: class sizes that fall by a constant ratio from class to class."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..core.targets import Targets
from ..errors import DataError
from .splits import shuffled

GAIN = 1e-9         # less of an improvement is rounding


def sizes(largest: int, classes: int, factor: float) -> list[int]:
    """Return the number of images of each class, largest first.

    n_c = floor(largest / factor^(c / (classes - 1))), so that the first class is `factor` times the last.

    Paper: Cui et al. 2019, https://arxiv.org/abs/1901.05555, section 5.1, with the ratio of Cao et al. 2019,
    https://arxiv.org/abs/1906.07413.

    Args:
        largest: Images of the largest class.
        classes: Number of classes, >= 2.
        factor: Largest class / smallest class, >= 1.
    """
    # A quotient such as 100 / 50 ** 1 may come out a hair below the whole number that it is.
    return [int(largest / factor ** (rank / (classes - 1)) + 1e-9) for rank in range(classes)]


def rows(labels: Tensor, factor: float, seed: int) -> Tensor:
    """Return the rows to keep of a training split so that its class sizes follow the long tail.

    The largest class that there is sets the scale; a class with fewer images than its size keeps what it has.

    Args:
        labels: Labels, [N], int64, each class at least once.
        factor: Largest class / smallest class, >= 1.
        seed: Seed of the draw.

    Returns:
        Rows, ascending.

    Raises:
        DataError: When the smallest class would be left without images.
    """
    members = shuffled(labels, seed)
    largest = max(len(rows) for rows in members)
    kept = sizes(largest, len(members), factor)
    if not kept[-1]:
        raise DataError(f"data.imbalance: {factor:g} leaves the smallest class without images; the largest has "
                        f"{largest}. Set data.imbalance to {largest} or less.")
    return torch.cat([rows[:size] for rows, size in zip(members, kept)]).sort().values


def image_rows(targets: Targets, classes: int, factor: float, seed: int) -> Tensor:
    """Return the rows to keep of a training split so that the boxes of its classes come near the long tail.

    Images hold boxes of several classes, so that the sizes of `sizes` cannot all be met. Images are dropped one by
    one, each time the one whose loss makes D = sum over classes of (boxes / size - 1)^2 smallest, until none makes it
    smaller or each takes the last box of a class. Where every image holds one box, the sizes are met. A class with
    fewer boxes than its size keeps to those; images without boxes stay.

    Args:
        targets: Of N images; boxes that are to be ignored do not count.
        classes: How many there are, each with a box.
        factor: Largest class / smallest class, >= 1.
        seed: Seed of the order in which equal images are dropped.

    Returns:
        Rows, ascending.

    Raises:
        DataError: When the smallest class would be left without boxes.

    Cost: a step of N * classes for each image that is dropped.
    """
    every = _boxes(targets, classes)
    there = every.sum(0)
    largest = int(there.max())
    wanted = np.array(sizes(largest, classes, factor)) if classes > 1 else there
    if not wanted[-1]:
        raise DataError(f"data.imbalance: {factor:g} leaves the smallest class without boxes; the largest has "
                        f"{largest}. Set data.imbalance to {largest} or less.")
    order = np.random.RandomState(seed).permutation(len(every))
    counts = every[order]
    shares = counts / np.minimum(wanted, there)
    lengths = (shares * shares).sum(1)
    gap = shares.sum(0) - 1
    kept = np.ones(len(order), bool)
    while True:
        last = ((counts == there) & (counts > 0)).any(1)
        change = np.where(kept & ~last, lengths - 2 * shares @ gap, 0)
        best = change.argmin()
        if change[best] > -GAIN:
            return torch.from_numpy(np.sort(order[kept]))
        kept[best] = False
        gap = gap - shares[best]
        there = there - counts[best]


def _boxes(targets: Targets, classes: int) -> np.ndarray:
    """Return how many boxes of each class each image has, [N, C]; those that are to be ignored do not count."""
    counts = torch.zeros(len(targets), classes, dtype=torch.int64)
    counts.scatter_add_(1, targets.labels, (targets.shares > 0).long())
    return counts.numpy()

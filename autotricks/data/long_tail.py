"""The exponential long tail: class sizes that fall by a constant ratio from class to class."""
from __future__ import annotations

import torch
from torch import Tensor

from ..errors import DataError
from .splits import shuffled


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

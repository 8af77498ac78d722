"""Over-sampling: repeat the images of every class until it is as large as the largest."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.trick import Trait, Trick


def places_up(counts: Tensor) -> Tensor:
    """Return, for rows sorted by class, the places that give each class as many rows as the largest has.

    A class is gone through again and again, so that its images differ by at most one in how often they occur.

    Shapes:
        counts: [C], rows of each class n; a class without rows stays out.
        returns: [C * max n], int64.
    """
    sizes = counts[counts > 0].long()
    turns = torch.arange(int(sizes.max()), device=counts.device)
    return ((sizes.cumsum(0) - sizes).unsqueeze(1) + turns % sizes.unsqueeze(1)).flatten()


class OverSampling(Trick):
    """Repeat the images of smaller classes until each class has as many rows as the largest.

    The images of a class are repeated equally often; which of them come once more is drawn anew with each order.

    Paper: Buda et al. 2018, https://arxiv.org/abs/1710.05381, random minority oversampling.
    Cost: a sort of the labels for each order; C times the largest class of row numbers in memory.
    Deviates: An epoch stays N // batch steps, so it reads the first of the order's C * max n rows, which are in random
        order; classes are alike in the whole order and, in an epoch, up to chance. Repeats are spread evenly.
    """

    seats = {Slot.SAMPLER: "draw"}
    brings = frozenset({Trait.RESAMPLES})

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return C * max n rows in random order, drawn anew each time."""
        places = places_up(run.counts)

        def repeated(progress: float) -> Tensor:
            shuffled, mixed = (torch.randperm(count, generator=run.generator, device=run.device)
                               for count in (len(run.labels), len(places)))
            grouped = shuffled[run.labels[shuffled].argsort(stable=True)]
            return grouped[places[mixed]]
        return repeated

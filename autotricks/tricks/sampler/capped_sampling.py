"""Capped sampling: repeat the images of small classes up to a fraction of the largest class."""
from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.trick import Trait, Trick


def places_capped(counts: Tensor, fraction: float) -> Tensor:
    """Return, for rows sorted by class, the places that give each class max(n, fraction * max n) rows, rounded up.

    A class is gone through again and again, so that its images differ by at most one in how often they occur.

    Shapes:
        counts: [C], rows of each class n; a class without rows stays out.
        returns: [sum of the classes' rows], int64.
    """
    sizes = counts[counts > 0].long()
    least = math.ceil(round(fraction * int(sizes.max()), 6))  # 0.07 * 100 is a hair above 7
    wanted = sizes.clamp(min=least)
    last, first = wanted.cumsum(0), sizes.cumsum(0) - sizes
    of_class = torch.repeat_interleave(wanted)
    turns = torch.arange(len(of_class), device=counts.device) - (last - wanted)[of_class]
    return first[of_class] + turns % sizes[of_class]


class CappedSampling(Trick):
    """Repeat the images of small classes until each class has at least `fraction` of the rows of the largest.

    Larger classes stay as they are: 0 is every image once, 1 brings every class up to the largest. The images of a
    class are repeated equally often; which of them come once more is drawn anew with each order.

    Paper: the third place in the ACCV 2020 challenge on fine-grained images from the web, with 1/3; oversampling in
        Buda et al. 2018, https://arxiv.org/abs/1710.05381.
    Cost: a sort of the labels for each order; a row number for each row of the order in memory.
    Deviates: An epoch stays N // batch steps, so it reads the first of the order's rows, which are in random order;
        the shares of the classes are exact in the whole order and, in an epoch, up to chance.
    """

    seats = {Slot.SAMPLER: "draw"}
    brings = frozenset({Trait.RESAMPLES})
    fraction: float = tunable(1 / 3, search=Float(0.1, 1.0), legal=Between(0, 1), unit="of the largest class")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return at least N rows in random order, drawn anew each time."""
        places = places_capped(run.counts, self.fraction)

        def filled(progress: float) -> Tensor:
            shuffled, mixed = (torch.randperm(count, generator=run.generator, device=run.device)
                               for count in (len(run.labels), len(places)))
            grouped = shuffled[run.labels[shuffled].argsort(stable=True)]
            return grouped[places[mixed]]
        return filled

"""Capped sampling: repeat the images of small classes up to a fraction of the largest class."""
from __future__ import annotations

import math

from torch import Tensor

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import filled_order, filled_positions


def least_rows(largest: int, fraction: float) -> int:
    """Return fraction * largest, rounded up."""
    return math.ceil(round(fraction * largest, 6))  # 0.07 * 100 is a hair above 7


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
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.RESAMPLES})
    fraction: float = tunable(1 / 3, search=Float(0.1, 1.0), legal=Between(0, 1), unit="of the largest class")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return at least N rows in random order, drawn anew each time."""
        positions = filled_positions(run.counts, least_rows(int(run.counts.max()), self.fraction))

        def filled(progress: float) -> Tensor:
            return filled_order(run.targets.single, positions, run.generator)
        return filled

"""Over-sampling: repeat the images of every class until it is as large as the largest."""
from __future__ import annotations

from torch import Tensor

from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import filled_order, filled_positions


class OverSampling(Trick):
    """Repeat the images of smaller classes until each class has as many rows as the largest.

    The images of a class are repeated equally often; which of them come once more is drawn anew with each order.

    Paper: Buda et al. 2018, https://arxiv.org/abs/1710.05381, random minority oversampling.
    Cost: a sort of the labels for each order; C times the largest class of row numbers in memory.
    Deviates: An epoch stays N // batch steps, so it reads the first of the order's C * max n rows, which are in random
        order; classes are alike in the whole order and, in an epoch, up to chance. Repeats are spread evenly.
    """

    seats = {Slot.SAMPLER: "draw"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.RESAMPLES})

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return C * max n rows in random order, drawn anew each time."""
        positions = filled_positions(run.counts, int(run.counts.max()))

        def repeated(progress: float) -> Tensor:
            return filled_order(run.targets.single, positions, run.generator)
        return repeated

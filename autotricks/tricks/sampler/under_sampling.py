"""Under-sampling: leave out images of every class until it is as small as the smallest."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import shuffled_by_class


def selected_positions(counts: Tensor, count: int) -> Tensor:
    """Return, for rows sorted by class, as many positions of each class as the smallest has rows, time and again.

    Each selection goes on in a class where the one before left off, so that its images are kept equally often.

    Args:
        counts: Rows of each class.
        count: How many positions at least; the fewest whole selections that hold them are returned.

    Shapes:
        counts: [C], rows of each class n; a class without rows stays out.
        returns: [selections, C * min n], int64; no position occurs twice in a selection.
    """
    sizes = counts[counts > 0].long()
    smallest = int(sizes.min())
    selections = -(-count // (smallest * len(sizes)))
    turns = torch.arange(selections * smallest, device=counts.device).view(selections, 1, smallest)
    return ((sizes.cumsum(0) - sizes).unsqueeze(1) + turns % sizes.unsqueeze(1)).flatten(1)


class UnderSampling(Trick):
    """Keep of each class as many images as the smallest class has, without replacement.

    Paper: Buda et al. 2018, https://arxiv.org/abs/1710.05381, random majority undersampling.
    Cost: a sort of the labels and N random numbers an epoch.
    Deviates: An epoch stays N // batch steps, so that trials are compared at equal cost: it goes through one selection
        of C * min n images after another, each with other images of the larger classes. So none is lost for good,
        and the smallest class is repeated N / (C * min n) times.
    """

    seats = {Slot.SAMPLER: "draw"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.RESAMPLES})

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return at least N rows, one whole selection after another, each in random order."""
        positions = selected_positions(run.counts, len(run.targets))

        def thinned(progress: float) -> Tensor:
            grouped = shuffled_by_class(run.targets.single, run.generator)
            mixed = torch.rand(positions.shape, generator=run.generator, device=run.device).argsort(1)
            return grouped[positions.gather(1, mixed)].flatten()
        return thinned

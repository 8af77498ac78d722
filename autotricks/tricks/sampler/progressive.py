"""Progressive: go from drawing images alike to drawing classes alike."""
from __future__ import annotations

from torch import Tensor

from ...core.draw import class_probabilities, rows_by_class
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.trick import Trait, Trick


def progressive_probabilities(counts: Tensor, progress: float) -> Tensor:
    """Return the probability of each class: (1 - progress) * n / N + progress / C.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], sums to 1.
    """
    # A window's edges are rounded to whole steps, so progress may lie a step outside of it.
    progress = min(max(progress, 0.0), 1.0)
    return class_probabilities(counts, 1.0).lerp(class_probabilities(counts, 0.0), progress)


class Progressive(Trick):
    """Draw classes as they occur at first and alike at last, changing evenly from epoch to epoch of the window.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, equation 2.
    Cost: a sort of the labels each epoch.
    """

    seats = {Slot.SAMPLER: "draw"}
    brings = frozenset({Trait.RESAMPLES})

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return N rows, drawn anew each epoch with that epoch's probabilities."""
        def shifting(progress: float) -> Tensor:
            probabilities = progressive_probabilities(run.counts, progress)
            return rows_by_class(run.labels, run.counts, probabilities, len(run.labels), run.generator)
        return shifting

"""Progressive: go from drawing images alike to drawing classes alike."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import class_probabilities, rows_by_class


def progressive_probabilities(counts: Tensor, progress: float, first: float = 0.0) -> Tensor:
    """Return the probability of each class: (1 - t) * n / N + t / C, with t going from `first` to 1 in `progress`.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], sums to 1.
    """
    # A window's edges are rounded to whole steps, so progress may lie a step outside of it.
    progress = min(max(progress, 0.0), 1.0)
    balanced = first + (1 - first) * progress
    return class_probabilities(counts, 1.0).lerp(class_probabilities(counts, 0.0), balanced)


class Progressive(Trick):
    """Draw classes as they occur at first and alike at last, changing evenly from epoch to epoch of the window.

    `first` is the share that is drawn alike when the window opens. With `start: 0.8` and `first: 0.8` the share is the
    fraction of training done, as in the deferred runs of Zhang et al. 2021,
    https://github.com/zhangyongshun/BagofTricks-LT.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, equation 2.
    Cost: a sort of the labels each epoch.
    """

    seats = {Slot.SAMPLER: "draw"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.RESAMPLES})
    first: float = tunable(0.0, search=Choice(0.0), legal=Between(0, 1), unit="share of balanced drawing")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return N rows, drawn anew each epoch with that epoch's probabilities."""
        def shifting(progress: float) -> Tensor:
            probabilities = progressive_probabilities(run.counts, progress, self.first)
            return rows_by_class(run.targets.single, run.counts, probabilities, len(run.targets), run.generator)
        return shifting

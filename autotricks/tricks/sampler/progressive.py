"""Progressive: go from drawing images alike to drawing classes alike."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.label_sets import image_counts, labelled_rows
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


def by_epoch(progress: float, epochs: float, shortest: float) -> float:
    """Return how far a window of so many epochs is in the epoch that begins at `progress`: 1 in its last.

    Args:
        progress: Fraction of the window done.
        epochs: Of the window.
        shortest: Epochs by which a window must be longer than one to begin at 0; else it is 1 at once.
    """
    return min(1.0, progress * epochs / (epochs - 1)) if epochs - 1 >= shortest else 1.0


class Progressive(Trick):
    """Draw classes as they occur at first and alike at last, changing evenly from epoch to epoch of the window.

    The last epoch of the window is balanced, and so is the whole of a window of one epoch. `first` is the share that is
    drawn alike in its first; with `start: 0.8` and `first: 0.8` that is the fraction of training done, near to the
    deferred runs of Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, equation 2, over epochs as in the authors' code,
        https://github.com/facebookresearch/classifier-balancing.
    Cost: a sort of the labels each epoch.
    """

    seats = {Slot.SAMPLER: "draw"}
    provides = frozenset({Trait.RESAMPLES})
    first: float = tunable(0.0, search=Choice(0.0), legal=Between(0, 1), unit="share of balanced drawing")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return N rows, drawn anew each epoch with that epoch's probabilities."""
        start, stop = run.windows.get(self.name, (0.0, 1.0))
        epochs = (stop - start) * run.epochs
        rows, labels = labelled_rows(run.targets)
        counts = image_counts(labels, run.classes)

        def shifting(progress: float) -> Tensor:
            done = by_epoch(progress, epochs, 1 / run.steps_per_epoch)
            probabilities = progressive_probabilities(counts, done, self.first)
            return rows[rows_by_class(labels, counts, probabilities, len(run.targets), run.generator)]
        return shifting

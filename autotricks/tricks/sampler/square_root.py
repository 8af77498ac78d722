"""Square root: draw classes by the square root of their size."""
from __future__ import annotations

from torch import Tensor

from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.label_sets import image_counts, labelled_rows
from ...functional.sampling import class_probabilities, rows_by_class


class SquareRoot(Trick):
    """Draw a class in proportion to sqrt(n), then one of its n images, with replacement.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, equation 1 with q = 1/2; after Mahajan et al. 2018,
        https://arxiv.org/abs/1805.00932, section 2.2.
    Cost: a sort of the labels each epoch.
    """

    seats = {Slot.SAMPLER: "draw"}
    provides = frozenset({Trait.RESAMPLES})

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return N rows, drawn anew each epoch."""
        rows, labels = labelled_rows(run.targets)
        counts = image_counts(labels, run.classes)
        probabilities = class_probabilities(counts, 0.5)

        def flatter(progress: float) -> Tensor:
            return rows[rows_by_class(labels, counts, probabilities, len(run.targets), run.generator)]
        return flatter

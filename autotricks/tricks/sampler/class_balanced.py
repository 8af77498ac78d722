"""Class-balanced: draw classes alike, or anywhere between that and as they occur."""
from __future__ import annotations

from torch import Tensor

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.label_sets import image_counts, labelled_rows
from ...functional.sampling import class_probabilities, rows_by_class


class ClassBalanced(Trick):
    """Draw a class in proportion to n^q, then one of its n images, with replacement; an epoch stays N images long.

    q = 0 draws all classes alike, q = 1 as they occur. With `start: 0.8` it is deferred re-sampling (DRS). Where images
    have several labels, or objects, this is class-aware sampling: one with a class is drawn for it, whatever number of
    objects of it there is; those without any are not drawn.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, equation 1; for sets of labels Shen et al. 2016,
        https://arxiv.org/abs/1512.05830, section on class-aware sampling.
    Cost: a sort of the labels each epoch.
    """

    seats = {Slot.SAMPLER: "draw"}
    provides = frozenset({Trait.RESAMPLES})
    q: float = tunable(0.0, search=Float(0.0, 1.0), legal=Between(0, 1), unit="exponent of the class size")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return N rows, drawn anew each epoch."""
        rows, labels = labelled_rows(run.targets)
        counts = image_counts(labels, run.classes)
        probabilities = class_probabilities(counts, self.q)

        def balanced(progress: float) -> Tensor:
            return rows[rows_by_class(labels, counts, probabilities, len(run.targets), run.generator)]
        return balanced

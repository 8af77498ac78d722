"""Box class weights: let objects of rare classes count more."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_weighting import ADVICE, class_weights


def object_weights(counts: Tensor, beta: float) -> Tensor:
    """Return `class_weights` scaled so that the mean over the training objects is 1.

    Shapes:
        counts: [C], objects of each class.
        returns: [C].
    """
    weights = class_weights(counts, beta)
    return weights * (counts.sum() / (counts * weights).sum())


class BoxClassWeights(Trick):
    """Weigh what is trained at an object, its class and its centerness, by the effective number of its class.

    beta = 0 weighs all classes alike, beta -> 1 by 1 / n. The weights' mean over all training objects is 1, so that
    objects together count as much as before against places where nothing is, which are weighed as before. Boxes are
    compared as before: their edges are of no class.

    Paper: Cui et al. 2019, https://arxiv.org/abs/1901.05555, section 4.
    Cost: one look-up for each place.
    Deviates: the paper's losses, of images, are weighed as a whole, answers of other classes included.
    """

    seats = {Slot.LOSS: "weight"}
    requires_data = frozenset({DataTrait.BOXES})
    provides = frozenset({Trait.REWEIGHTS})
    advice = ADVICE
    beta: float = tunable(0.99, search=Choice(0.9, 0.99, 0.999, 0.9999), legal=Between(0, 1, without=(1,)),
                          unit="1 - 1 / (distinct objects that a class could have)")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss with weighed objects."""
        weights = object_weights(run.counts, self.beta)

        def weighted(output: Tensor, batch: Batch) -> Tensor:
            return inner(output, batch.retarget(batch.targets.weighted(weights[batch.targets.labels])))
        return weighted

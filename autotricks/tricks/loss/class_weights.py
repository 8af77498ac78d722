"""Class weights: weigh classes by the inverse of their effective number of images."""
from __future__ import annotations

from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_weighting import ADVICE, class_weights, weighted_by_class


class ClassWeights(Trick):
    """Weigh the loss of each label by its class and divide by the total weight of the batch.

    The weight falls with the effective number of images: beta = 0 weighs all classes alike, beta -> 1 by 1 / n. Over
    hard labels the mean is that of `torch.nn.functional.cross_entropy(weight=)`; over mixtures each label has its
    share of the weight. Without `normalize` the batch's sum is divided by its number of images, as Zhang et al. 2021
    do for class-balanced focal loss: the weights sum to C, so where the tail is long the loss is smaller, as under a
    lower learning rate. With `start: 0.8` it is deferred re-weighting (DRW), Cao et al. 2019,
    https://arxiv.org/abs/1906.07413, algorithm 1.

    Paper: Cui et al. 2019, https://arxiv.org/abs/1901.05555, section 4.
    Cost: one look-up for each label.
    """

    seats = {Slot.LOSS: "weight"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REWEIGHTS})
    advice = ADVICE
    beta: float = tunable(0.9999, search=Choice(0.9, 0.99, 0.999, 0.9999), legal=Between(0, 1, without=(1,)),
                          unit="1 - 1 / (distinct images that a class could have)")
    normalize: bool = tunable(True, search=Choice(True), legal=Choice(True, False))

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the weighted loss; unless told, its mean over the whole batch is the labels' weighted mean."""
        return weighted_by_class(inner, class_weights(run.counts, self.beta), self.normalize)

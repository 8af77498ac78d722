"""Cost-sensitive: weigh classes by a power of the inverse of their number of images."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.domain import Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_weighting import ADVICE, weighted_by_class


def cost_weights(counts: Tensor, exponent: float) -> Tensor:
    """Return (n_min / n)^exponent for each class, n_min that of the rarest; a class without images gets 0.

    Shapes:
        counts: [C], images of each class n.
        returns: [C], in [0, 1].
    """
    smallest = torch.where(counts > 0, counts, torch.inf).min()
    return torch.where(counts > 0, (smallest / counts.clamp(min=1)) ** exponent, 0.0)


class CostSensitive(Trick):
    """Weigh the loss of each label by (n_min / n)^exponent of its class and divide by the batch's total weight.

    An exponent of 1 makes all classes weigh alike together, 1/2 is the square-root form, 0 is no weighting. Over hard
    labels the mean is that of `torch.nn.functional.cross_entropy(weight=)`; over mixtures each label has its share of
    the weight. Only the ratios of the weights matter then. Without `normalize` the batch's sum is divided by its number
    of images: the rarest class keeps its loss and the others' shrink, as in the deferred focal loss of Zhang et al.
    2021. With `start: 0.8` it is deferred re-weighting (DRW).

    Paper: Japkowicz and Stephen 2002, https://doi.org/10.3233/IDA-2002-6504, for weighing by class; as CS_CE in
        Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT.
    Cost: one look-up for each label.
    """

    seats = {Slot.LOSS: "weight"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REWEIGHTS})
    advice = ADVICE
    exponent: float = tunable(1.0, search=Float(0.0, 1.0), legal=at_least(0), unit="exponent of n_min / n")
    normalize: bool = tunable(True, search=Choice(True), legal=Choice(True, False))

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the weighted loss; unless told, its mean over the whole batch is the labels' weighted mean."""
        return weighted_by_class(inner, cost_weights(run.counts, self.exponent), self.normalize)

"""Asymmetric: a yes or no for each class, where the many easy noes count for little."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.label_sets import class_shares


def asymmetric(logits: Tensor, shares: Tensor, positive: float, negative: float, margin: float) -> Tensor:
    """Return -y (1 - p)^positive log p - (1 - y) q^negative log(1 - q), with q = max(p - margin, 0), of each class.

    Shapes:
        logits: [B, C]; p is their sigmoid.
        shares: [B, C], y, in [0, 1].
        returns: [B, C].
    """
    tiny = torch.finfo(logits.dtype).tiny    # where a base rounds to 0 the gradient of a small power is infinite
    miss = torch.sigmoid(-logits).clamp(min=tiny)
    found = -(miss ** positive) * F.logsigmoid(logits)
    if not margin:
        return shares * found - (1 - shares) * torch.sigmoid(logits).clamp(min=tiny) ** negative * F.logsigmoid(-logits)
    shifted = (torch.sigmoid(logits) - margin).clamp(min=0)
    return shares * found - (1 - shares) * shifted.clamp(min=tiny) ** negative * torch.log1p(-shifted)


class Asymmetric(Trick):
    """Take a focal factor for each class by itself, a stronger one where the class is not there.

    Probabilities below `margin` of what is not there count for nothing, which also forgives labels that were forgotten.
    With both exponents equal and no margin it is the focal loss of Lin et al. 2017,
    https://arxiv.org/abs/1708.02002, for a sigmoid of each class; with exponents of 0 as well, binary cross-entropy
    summed over the classes. In a mixture each class counts by its share.

    Paper: Ridnik et al. 2021, https://arxiv.org/abs/2009.14119, equations 4 to 7; defaults as the authors train,
        https://github.com/Alibaba-MIIL/ASL.
    Cost: five passes over the logits.
    Deviates: the loss is the mean over samples of the sum over classes; the authors' code sums over both. Their
        training leaves the gradient of the factor out; here it is taken, as the paper derives it.
    """

    seats = {Slot.LOSS: "base"}
    excludes_data = frozenset({DataTrait.BOXES})     # an image has no share of a class then
    excludes = frozenset({Trait.SMOOTHS_LABELS, Trait.REWEIGHTS})
    positive: float = tunable(0.0, search=Float(0.0, 2.0), legal=at_least(0), unit="exponent for classes there")
    negative: float = tunable(4.0, search=Float(0.0, 5.0), legal=at_least(0), unit="exponent for classes not there")
    margin: float = tunable(0.05, search=Choice(0.0, 0.05), legal=Between(0, 1, without=(1,)), unit="probability")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the asymmetric loss of each sample, summed over the classes."""
        def answered(logits: Tensor, batch: Batch) -> Tensor:
            shares = class_shares(batch.targets, logits.shape[1])
            return asymmetric(logits, shares, self.positive, self.negative, self.margin).sum(1)
        return answered

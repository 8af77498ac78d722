"""Focal joint: cross-entropy plus a share of focal loss."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def focal_joint(logits: Tensor, labels: Tensor, weight: float, gamma: float) -> Tensor:
    """Return -(1 + weight * (1 - p)^gamma) log p, with p = softmax(logits) at each label.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        returns: [B, K].
    """
    log_probability = torch.log_softmax(logits, 1).gather(1, labels)
    # Where p rounds to 1 the clamp stops the gradient, which for gamma < 1 is infinite there.
    rest = (-torch.expm1(log_probability)).clamp(min=torch.finfo(log_probability.dtype).tiny)
    return -(1 + weight * rest ** gamma) * log_probability


class FocalJoint(Trick):
    """Minimize cross-entropy + `weight` * focal loss, so that samples already well classified still count.

    Focal loss alone all but forgets them; the factor of the sum lies between 1 and 1 + `weight`.

    Paper: the focal loss of Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4, in its softmax form; the
        sum is a practice of competitions and has no paper of its own.
    Cost: none.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    weight: float = tunable(0.5, search=Float(0.1, 1.0), legal=at_least(0), unit="focal losses to one cross-entropy")
    gamma: float = tunable(2.0, search=Float(0.5, 5.0), legal=at_least(0), unit="exponent")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the joint loss of each sample's mixture of labels."""
        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(focal_joint(logits, batch.targets.labels, self.weight, self.gamma))
        return mixed

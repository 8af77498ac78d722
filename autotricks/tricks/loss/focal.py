"""Focal: let samples that are already well classified count for little."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return -(1 - p)^gamma log p, with p = softmax(logits) at each label.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        returns: [B, K].
    """
    log_probability = torch.log_softmax(logits, 1).gather(1, labels)
    # Where p rounds to 1 the clamp stops the gradient, which for gamma < 1 is infinite there.
    rest = (-torch.expm1(log_probability)).clamp(min=torch.finfo(log_probability.dtype).tiny)
    return -rest ** gamma * log_probability


class Focal(Trick):
    """Multiply the cross-entropy by (1 - p)^gamma, with p the probability of the true class.

    Each label of a mixture has its own p. With gamma = 0 it is cross-entropy.

    Paper: Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4.
    Cost: none.
    Deviates: p comes from softmax over the classes; the paper, which detects objects, has a sigmoid for each class.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    gamma: float = tunable(2.0, search=Float(0.5, 5.0), legal=at_least(0), unit="exponent")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the focal loss of each sample's mixture of labels."""
        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(focal(logits, batch.targets.labels, self.gamma))
        return mixed

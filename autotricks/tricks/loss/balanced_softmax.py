"""Balanced softmax: put the class frequencies into the loss, so that the logits need not hold them."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_priors import OVER_BALANCE


def balanced_softmax(logits: Tensor, labels: Tensor, log_counts: Tensor) -> Tensor:
    """Return -log softmax(logits + log n) at each label.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        log_counts: [C].
        returns: [B, K].
    """
    return -torch.log_softmax(logits + log_counts, 1).gather(1, labels)


class BalancedSoftmax(Trick):
    """Minimize the cross-entropy of logits + log n, with n the images of each class; predict with plain logits.

    The logits then estimate log p(image | class), which ranks classes as if all were equally frequent.

    Paper: Ren et al. 2020, https://arxiv.org/abs/2007.10740, equation 4; logit adjustment with tau = 1 in
        Menon et al. 2021, https://arxiv.org/abs/2007.07314, equation 10.
    Cost: one addition to the logits.
    Deviates: A class without training images counts as if it had one, so that the loss stays finite.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REMOVES_PRIOR})
    advice = (OVER_BALANCE,)

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the balanced cross-entropy of each sample's mixture of labels."""
        log_counts = run.counts.clamp(min=1).log()

        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(balanced_softmax(logits, batch.targets.labels, log_counts))
        return mixed

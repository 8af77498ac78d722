"""Binary cross-entropy: a yes or no for each class; an image that is mixed of two is both."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick


def present(labels: Tensor, shares: Tensor, classes: int, threshold: float) -> Tensor:
    """Return 1 for each class whose shares of an image sum to more than a threshold, 0 for others.

    Shapes:
        labels: [B, K], int64.
        shares: [B, K].
        returns: [B, C].
    """
    total = shares.new_zeros(len(labels), classes).scatter_add(1, labels, shares)
    return (total > threshold).to(total.dtype)


class BinaryCrossEntropy(Trick):
    """Minimize the mean over the classes of binary cross-entropy, where each class of a mixed image counts as there.

    Each class has its own sigmoid. A class is there if its share of the target is above `threshold`; with 0.2, what is
    hardly to be seen is not. It goes with mixing and optimizers that are indifferent to the size of gradients, such as
    `lamb` and `adamw`: under `sgd` steps are as many times shorter as there are classes. `sigmoid_focal` with gamma 0
    is the loss against the shares themselves, summed over the classes.

    Paper: Wightman et al. 2021, https://arxiv.org/abs/2110.00476, section 2, with a threshold of 0.2; Touvron et al.
        2022, https://arxiv.org/abs/2204.07118, with 0.
    Cost: two passes over the logits.
    Deviates: label smoothing and weights of classes are refused beside it: the threshold would undo or distort them.
        Where images have one label each, evaluation takes softmax of the logits, which ranks the classes alike but
        is not what was trained.
    """

    seats = {Slot.LOSS: "base"}
    excludes_data = frozenset({DataTrait.BOXES})     # an image has no share of a class then
    excludes = frozenset({Trait.SMOOTHS_LABELS, Trait.REWEIGHTS})
    threshold: float = tunable(0.2, search=Choice(0.0, 0.2), legal=Between(0, 1, without=(1,)),
                               unit="share of the target")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the mean binary cross-entropy of each sample."""
        def answered(logits: Tensor, batch: Batch) -> Tensor:
            targets = batch.targets
            there = present(targets.labels, targets.shares, logits.shape[1], self.threshold)
            return F.binary_cross_entropy_with_logits(logits, there, reduction="none").mean(1)
        return answered

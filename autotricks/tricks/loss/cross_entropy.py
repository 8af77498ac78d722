"""Cross-entropy: the negative log-probability of the true class."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return -log softmax(logits) at each label.

    Shapes:
        logits: [B, C].
        labels: [B, K], int64.
        returns: [B, K].
    """
    if labels.shape[1] == 1:  # one kernel instead of three
        return F.cross_entropy(logits, labels.squeeze(1), reduction="none").unsqueeze(1)
    return -torch.log_softmax(logits, 1).gather(1, labels)


class CrossEntropy(Trick):
    """Minimize the negative log-probability that softmax gives to the true class.

    Paper: Bridle 1990, https://doi.org/10.1007/978-3-642-76153-9_28.
    Cost: none.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.ONE_LABEL})

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the cross-entropy of each sample's mixture of labels."""
        def mixed(logits: Tensor, batch: Batch) -> Tensor:
            return batch.mix(cross_entropy(logits, batch.targets.labels))
        return mixed

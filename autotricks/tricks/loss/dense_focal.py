"""Dense focal: say at each place what is there; let places that are easy count for little."""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ...core.batch import Batch
from ...core.dense import Dense
from ...core.domain import Between, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.assignment import middles, per_place


def dense_focal(logits: Tensor, labels: Tensor, shares: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the focal loss of each image: its sum over places and classes.

    Shapes:
        logits: [B, A, C].
        labels: [B, A], int64.
        shares: [B, A], how much the object at each place counts; 0 where there is none.
        returns: [B].
    """
    nothing = alpha_free(logits, gamma) * (1 - alpha)
    own = logits.gather(2, labels.unsqueeze(2)).squeeze(2)
    there = shares > 0
    right = alpha * (1 - own.sigmoid()) ** gamma * F.softplus(-own) * shares
    wrong = nothing.gather(2, labels.unsqueeze(2)).squeeze(2) * there
    return nothing.sum((1, 2)) + (right - wrong).sum(1)


def alpha_free(logits: Tensor, gamma: float) -> Tensor:
    """Return p^gamma times -log(1 - p) of each place and class: the loss where nothing is there."""
    return logits.sigmoid() ** gamma * F.softplus(logits)


class DenseFocal(Trick):
    """Take each place and class for a question of its own; weigh it by how wrong the answer is.

    Places at objects also say how near to its middle they are; see `autotricks.functional.assignment.centerness`.
    Both are divided by the objects' places of the whole batch.

    Paper: Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 3; Tian et al. 2019,
        https://arxiv.org/abs/1904.01355, section 3.3.
    Cost: none.
    """

    seats = {Slot.LOSS: "base"}
    requires_data = frozenset({DataTrait.BOXES})
    gamma: float = tunable(2.0, search=Float(1.0, 3.0), legal=at_least(0), unit="exponent")
    alpha: float = tunable(0.25, search=Float(0.2, 0.6), legal=Between(0, 1), unit="weight of what is there")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the focal loss of each image and that of its centerness."""
        def dense(output: Tensor, batch: Batch) -> Tensor:
            said = Dense.of(output)
            targets = batch.targets
            classes = dense_focal(said.logits, targets.labels, targets.shares, self.gamma, self.alpha)
            wanted = middles(targets, said.places[0])
            apart = F.binary_cross_entropy_with_logits(said.centerness, wanted, reduction="none")
            return per_place(classes + (apart * targets.shares).sum(1), batch)
        return dense

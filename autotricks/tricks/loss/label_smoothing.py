"""Label smoothing: give every class a small share of each target."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.targets import Targets
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick


def smoothed(batch: Batch, classes: int, epsilon: float) -> Batch:
    """Return the batch with one label more for each class: old shares times 1 - epsilon, new ones epsilon / C.

    Shapes:
        batch: labels and shares [B, K].
        returns: labels and shares [B, K + C].
    """
    targets = batch.targets
    every = torch.arange(classes, device=targets.labels.device).expand(len(batch), classes)
    even = torch.full_like(targets.shares[:, :1], epsilon / classes).expand(len(batch), classes)
    return batch.retarget(targets.weighted(1 - epsilon).joined(Targets(every, even)))


class LabelSmoothing(Trick):
    """Train towards q = (1 - epsilon) * target + epsilon / C instead of the target.

    The smoothed target is again a mixture of labels, so it works with every base loss, with mixing and with class
    weights, which then weigh the smoothed labels. He et al. 2019, https://arxiv.org/abs/1812.01187, share epsilon among
    the C - 1 other classes; that is this with epsilon * C / (C - 1).

    Paper: Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7.
    Cost: the loss of every class instead of one; nothing beside a forward pass.
    """

    seats = {Slot.LOSS: "target"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.SMOOTHS_LABELS})
    epsilon: float = tunable(0.1, search=Float(0.0, 0.2), legal=Between(0, 1, without=(1,)), unit="share of the target")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss against smoothed targets."""
        def smooth(logits: Tensor, batch: Batch) -> Tensor:
            return inner(logits, smoothed(batch, logits.shape[1], self.epsilon))
        return smooth

"""Weigh the labels of a batch by class: what every re-weighting trick shares."""
from __future__ import annotations

from torch import Tensor

from .batch import Batch
from .slots import Loss


def weighted_by_class(inner: Loss, weights: Tensor) -> Loss:
    """Return `inner` with each label weighed by its class; its mean is the weighted mean of the labels' losses.

    Base losses are linear in the shares, so weights may enter there. The total weight is that of the labels before
    smoothing and before the batch was cut, as in `torch.nn.functional.cross_entropy(weight=)`.

    Shapes:
        weights: [C].
    """
    def weighted(logits: Tensor, batch: Batch) -> Tensor:
        total = (batch.whole.shares * weights[batch.whole.labels]).sum()
        heavier = batch.retarget(batch.labels, batch.shares * weights[batch.labels])
        return inner(logits, heavier) * (len(batch.whole) / total)
    return weighted

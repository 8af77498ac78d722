"""Weigh the labels of a batch by class: what every re-weighting trick shares."""
from __future__ import annotations

from torch import Tensor

from .batch import Batch
from .slots import Loss


def weighted_by_class(inner: Loss, weights: Tensor, normalize: bool = True) -> Loss:
    """Return `inner` with each label weighed by its class.

    Base losses are linear in the shares, so weights may enter there.

    Args:
        inner: Loss of each sample.
        weights: Of each class.
        normalize: Divide by the batch's total weight, so that the mean is the weighted mean of the labels' losses. The
            total is that of the labels before smoothing and before the batch was cut, as in
            `torch.nn.functional.cross_entropy(weight=)`. Else the sum of weighted losses is divided by the samples.

    Shapes:
        weights: [C].
    """
    def weighted(logits: Tensor, batch: Batch) -> Tensor:
        heavier = inner(logits, batch.retarget(batch.labels, batch.shares * weights[batch.labels]))
        if not normalize:
            return heavier
        return heavier * (len(batch.whole) / (batch.whole.shares * weights[batch.whole.labels]).sum())
    return weighted

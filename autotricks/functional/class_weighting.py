"""Weigh the labels of a batch by class: what every re-weighting trick shares."""
from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.slots import Loss
from ..core.traits import DataTrait, Trait
from ..core.trick import Advice

ADVICE = (
    Advice(Trait.RESAMPLES, "rare classes are then both drawn and weighed more; cost-sensitive cross-entropy made "
           "class-balanced re-sampling worse", "Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT"),
    Advice(Trait.REMOVES_PRIOR, "class frequencies are corrected twice; on a softmax-regression toy accuracy fell "
           "from .772 to .671", "measured with weights of 1/n; cf. Ren et al. 2020, https://arxiv.org/abs/2007.10740"),
    Advice(DataTrait.MANY_CLASSES, "cost-sensitive cross-entropy raised the error on CIFAR-100-LT from 61.7% to 67.7%, "
           "and deferred, with start: 0.8, it lowered it to 58.4%",
           "Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT", early=True))


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """Return (1 - beta) / (1 - beta^n) for each class, scaled to sum to C; a class without images gets 0.

    Shapes:
        counts: [C], images of each class n.
        returns: [C].
    """
    sizes = counts.double()  # 1 - beta^n loses three of its digits in float32 when beta is near 1
    weights = torch.where(sizes > 0, (1 - beta) / (1 - beta ** sizes.clamp(min=1)), 0.0)
    return (weights * len(counts) / weights.sum()).float()


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
        whole = batch.whole.targets
        heavier = inner(logits, batch.retarget(batch.targets.weighted(weights[batch.targets.labels])))
        if not normalize:
            return heavier
        return heavier * (len(whole) / (whole.shares * weights[whole.labels]).sum())
    return weighted

"""How well scores rank what is true above what is not: area under the ROC curve, and average precision."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

AT_ONCE = 500_000       # scores that are sorted together: more take longer each, since caches do not hold them
BITS = 32               # of a score


class RankMetrics(NamedTuple):
    """What the order of scores is worth, of one class or of each of C: [] or [C], float64.

    Args:
        auroc: Chance that something true has a higher score than something untrue, a tie counting half.
            NaN where all is true or nothing is.
        average_precision: Precision at each threshold, weighted by the recall that it adds. NaN where nothing is true.
    """

    auroc: Tensor
    average_precision: Tensor


def rank_metrics(scores: Tensor, truth: Tensor) -> RankMetrics:
    """Return what the order of scores is worth; equal scores are one threshold, so their order does not matter.

    Paper: Hanley and McNeil 1982, https://doi.org/10.1148/radiology.143.1.7063747, for the area. Average precision is
        the sum without interpolation, as scikit-learn has it.
    Cost: one sort of each class, and a search in it for each that is true.

    Shapes:
        scores: [N] or [N, C], float32, without NaN; only their order counts.
        truth: bool, as `scores`.
    """
    if scores.ndim == 1:
        return RankMetrics(*(values[0] for values in rank_metrics(scores[:, None], truth[:, None])))
    width = max(1, AT_ONCE // max(1, len(scores)))
    parts = [_of_classes(*pair) for pair in zip(scores.split(width, 1), truth.split(width, 1), strict=True)]
    return RankMetrics(*map(torch.cat, zip(*parts, strict=True)))


def _of_classes(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return area and average precision of each class; `scores` and `truth` are [N, C]."""
    images, classes = scores.shape
    keys = _keys(scores)
    every = _sorted(keys)
    true = _sorted(keys[truth.T])
    of_class = true >> BITS
    positive = torch.bincount(of_class, minlength=classes)
    less, upto = (torch.searchsorted(every, true, right=right) - of_class * images for right in (False, True))
    first = (positive.cumsum(0) - positive)[of_class]
    true_less, true_upto = (torch.searchsorted(true, true, right=right) - first for right in (False, True))
    untrue = (less - true_less) + (upto - true_upto)                # half of it: below, a tie counting half
    precision = (positive[of_class] - true_less).double() / (images - less)     # of those with its score or more
    area, precise = (torch.bincount(of_class, weights=each.double(), minlength=classes) for each in (untrue, precision))
    return area / (2 * positive * (images - positive)), precise / positive


def _keys(scores: Tensor) -> Tensor:
    """Return whole numbers, [C, N], in the order of the scores, those of a class above those of the class before it."""
    bits = (scores.T.float() + 0.0).contiguous().view(torch.int32)     # -0 becomes 0
    ordered = bits ^ ((bits >> BITS - 1) & 2 ** (BITS - 1) - 1)       # the bits of negative numbers run the other way
    above = torch.arange(len(bits), device=bits.device)[:, None] << BITS
    return above + ordered + 2 ** (BITS - 1)


def _sorted(keys: Tensor) -> Tensor:
    """Return keys in order, flat; [C, N] are in order by class already, and numpy sorts ten times as fast as torch."""
    if keys.device.type == "cpu":
        return torch.from_numpy(np.sort(keys.numpy(), axis=-1)).flatten()
    return keys.sort(dim=-1).values.flatten()

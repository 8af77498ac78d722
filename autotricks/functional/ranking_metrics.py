"""How well scores rank what is true above what is not: area under the ROC curve, and average precision."""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 8_000_000     # scores that are sorted together, which takes about 40 bytes each


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
    Cost: one sort of each class.

    Shapes:
        scores: [N] or [N, C]; only their order counts.
        truth: bool, as `scores`.
    """
    if scores.ndim == 1:
        return RankMetrics(*(values[0] for values in rank_metrics(scores[:, None], truth[:, None])))
    width = max(1, AT_ONCE // max(1, len(scores)))
    parts = [_of_classes(*pair) for pair in zip(scores.split(width, 1), truth.split(width, 1), strict=True)]
    return RankMetrics(*map(torch.cat, zip(*parts, strict=True)))


def _of_classes(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return area and average precision of each class; `scores` and `truth` are [N, C]."""
    ordered, order = scores.T.contiguous().sort(1, descending=True)
    true = truth.T.gather(1, order)
    ends = torch.ones_like(true)            # the last of equal scores, which is where a threshold can lie
    ends[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
    above = torch.arange(1, len(scores) + 1, device=scores.device, dtype=torch.int32)
    taken = _at_ends(above.expand(ends.shape), ends)
    found = _at_ends(true.cumsum(1, dtype=torch.int32), ends)
    new = found.diff(dim=1)                 # what is true and has the scores of this threshold
    precision = found[:, 1:] / above        # where a threshold is; elsewhere nothing is new
    false = (taken - found).diff(dim=1)     # what is not true and has them
    positive = found[:, -1].double()
    negative = len(scores) - positive
    area = (false.double() * (found[:, 1:] + found[:, :-1])).sum(1) / 2
    return area / (positive * negative), (new * precision).sum(1, dtype=torch.float64) / positive


def _at_ends(counts: Tensor, ends: Tensor) -> Tensor:
    """Return counts that only grow as they are at the last threshold passed, 0 at first: [C, N] to [C, N + 1]."""
    return F.pad(torch.where(ends, counts, 0).cummax(1).values, (1, 0))

"""Anchors: the few sizes of boxes that stand for all boxes of a data set, by k-means.

Paper: Redmon and Farhadi 2017, https://arxiv.org/abs/1612.08242, section 2, "Dimension Clusters".
"""
from __future__ import annotations

import torch
from torch import Tensor

RESTARTS = 10           # from other first anchors, of which the best is taken
ROUNDS = 100            # until which the means surely stand still


def shared(sizes: Tensor, others: Tensor) -> Tensor:
    """Return intersection over union of each two boxes that have one middle; `sizes` [N, 2], `others` [K, 2], [N, K].

    Shapes:
        sizes: [N, 2], width and height.
        others: [K, 2].
        returns: [N, K].
    """
    common = torch.minimum(sizes[:, None], others[None]).prod(2)
    union = sizes.prod(1)[:, None] + others.prod(1)[None] - common
    return common / union


def anchors(sizes: Tensor, count: int, seed: int = 0) -> tuple[Tensor, float]:
    """Return the anchors that k-means finds with 1 - IoU for a distance, and the mean IoU of boxes with the nearest.

    Args:
        sizes: Width and height of each box, positive.
        count: How many, K; all different sizes where these are fewer.
        seed: Of the first anchors, which are drawn as k-means++ draws them: far from one another.

    Shapes:
        sizes: [N, 2].
        returns: [K, 2], the smallest area first.

    Cost: N * K overlaps a round, up to 100 rounds, ten times.
    """
    sizes = sizes.double()
    different = sizes.unique(dim=0)
    if len(different) <= count:
        return different[different.prod(1).argsort()], 1.0
    generator = torch.Generator().manual_seed(seed)
    found = [_settled(sizes, _spread(sizes, count, generator)) for _ in range(RESTARTS)]
    best, mean = max(found, key=lambda one: one[1])
    return best[best.prod(1).argsort()], mean


def _spread(sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw boxes, each the likelier the less it shares with those that were drawn before."""
    chosen = sizes[torch.randint(len(sizes), (1,), generator=generator)]
    for _ in range(count - 1):
        away = (1 - shared(sizes, chosen).amax(1)).clamp(min=0) ** 2
        chosen = torch.cat([chosen, sizes[torch.multinomial(away, 1, generator=generator)]])
    return chosen


def _settled(sizes: Tensor, means: Tensor) -> tuple[Tensor, float]:
    """Give boxes to the nearest of some means and take the means of those, until they stand still."""
    owner = torch.full((len(sizes),), -1)
    for _ in range(ROUNDS):
        nearest = shared(sizes, means).argmax(1)
        if torch.equal(nearest, owner):
            break
        owner = nearest
        sums = torch.zeros_like(means).index_add_(0, owner, sizes)
        counts = torch.bincount(owner, minlength=len(means)).unsqueeze(1)
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    return means, float(shared(sizes, means).amax(1).mean())

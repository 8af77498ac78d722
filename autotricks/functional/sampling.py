"""What several tricks draw with: pure functions of an explicit generator, on its device."""
from __future__ import annotations

import torch
from torch import Tensor

_MANY = 2**62  # so many outcomes that a remainder is uniform to one part in 10^12


def beta(alpha: float, beta: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` numbers from Beta(alpha, beta).

    A Beta is X / (X + Y) with X and Y from Gamma distributions. They are drawn in float64: for a small alpha most of
    X lies below what float32 can hold.

    Args:
        alpha: First concentration, > 0.
        beta: Second concentration, > 0.
        count: How many.
        generator: Source of randomness; the result is on its device.

    Shapes:
        returns: [count], in [0, 1].
    """
    first, second = (
        torch._standard_gamma(torch.full((count,), shape, dtype=torch.float64, device=generator.device),
                              generator=generator) for shape in (alpha, beta))
    return (first / (first + second)).float()


def class_probabilities(counts: Tensor, q: float) -> Tensor:
    """Return the probability of each class, n^q over the sum of n^q; a class without images gets 0.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, equation 1.

    Args:
        counts: Images of each class n.
        q: 1 draws classes as often as they occur, 0 all alike, 1/2 by the square root.

    Shapes:
        counts: [C].
        returns: [C], sums to 1.
    """
    powers = torch.where(counts > 0, counts.double() ** q, 0.0)
    return (powers / powers.sum()).float()


def rows_by_class(labels: Tensor, counts: Tensor, probabilities: Tensor, count: int,
                  generator: torch.Generator) -> Tensor:
    """Draw `count` rows with replacement: a class with its probability, then a row uniformly inside the class.

    Args:
        labels: Label of each row.
        counts: Rows of each class.
        probabilities: Of each class, not negative; 0 for a class without rows.
        count: How many.
        generator: Source of randomness, on the device of the labels.

    Shapes:
        labels: [N], int64.
        counts: [C].
        probabilities: [C].
        returns: [count], int64.
    """
    sizes = counts.long()
    grouped = labels.argsort(stable=True)
    first = sizes.cumsum(0) - sizes
    drawn = torch.multinomial(probabilities, count, replacement=True, generator=generator)
    offset = torch.randint(_MANY, (count,), generator=generator, device=labels.device) % sizes[drawn]
    return grouped[first[drawn] + offset]


def first_rows(labels: Tensor, counts: Tensor, shots: int) -> Tensor:
    """Return the first `shots` rows of each class, or all that it has, sorted by class.

    Shapes:
        labels: [N], int64.
        counts: [C], rows of each class.
        returns: [M], int64.
    """
    grouped = labels.argsort(stable=True)
    sizes = counts.long()
    rank = torch.arange(len(labels), device=labels.device) - (sizes.cumsum(0) - sizes)[labels[grouped]]
    return grouped[rank < shots]


def shuffled_by_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return all rows sorted by class, in random order inside each class.

    Shapes:
        labels: [N], int64.
        returns: [N], int64.
    """
    shuffled = torch.randperm(len(labels), generator=generator, device=labels.device)
    return shuffled[labels[shuffled].argsort(stable=True)]


def filled_positions(counts: Tensor, least: int) -> Tensor:
    """Return, for rows sorted by class, the positions that give each class max(n, least) rows.

    A class is gone through again and again, so that its rows differ by at most one in how often they occur.

    Args:
        counts: Rows of each class n; a class without rows stays out.
        least: Rows that each class is to have at least.

    Shapes:
        counts: [C].
        returns: [sum of max(n, least)], int64.
    """
    sizes = counts[counts > 0].long()
    wanted = sizes.clamp(min=least)
    last = wanted.cumsum(0)
    first = sizes.cumsum(0) - sizes
    of_class = torch.repeat_interleave(wanted)
    turns = torch.arange(len(of_class), device=counts.device) - (last - wanted)[of_class]
    return first[of_class] + turns % sizes[of_class]


def filled_order(labels: Tensor, positions: Tensor, generator: torch.Generator) -> Tensor:
    """Return the rows at `positions` of the rows sorted by class, in random order; a class's rows are shuffled before.

    Shapes:
        labels: [N], int64.
        positions: [M], int64, in [0, N).
        returns: [M], int64.
    """
    grouped = shuffled_by_class(labels, generator)
    return grouped[positions[torch.randperm(len(positions), generator=generator, device=labels.device)]]


def spans(centers: Tensor, lengths: Tensor | int, size: int) -> Tensor:
    """Return which of `size` places lie in the `lengths` places around each center, clipped at the border.

    Shapes:
        centers: [B], int64, in [0, size).
        lengths: [B], int64, in [0, size], or one length for all.
        returns: [B, size], bool.
    """
    positions = torch.arange(size, device=centers.device)
    first = centers - lengths // 2
    return (positions >= first.unsqueeze(1)) & (positions < (first + lengths).unsqueeze(1))

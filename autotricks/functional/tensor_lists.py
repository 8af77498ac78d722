"""Arithmetic on lists of tensors, such as all weights of a model, in few calls for all of them.

The functions are torch's own and what its optimizers are made of, but torch does not promise their names: this is the
one place that knows them. Each does the same as a loop over the tensors, at a fraction of the time.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Tensors = Sequence[Tensor]


def absolute(tensors: Tensors) -> list[Tensor]:
    """Return |t| of each."""
    return list(torch._foreach_abs(list(tensors)))


def added(tensors: Tensors, others: Tensors | float) -> list[Tensor]:
    """Return t + o of each, or t and one number."""
    return list(torch._foreach_add(list(tensors), others if isinstance(others, float) else list(others)))


def less(tensors: Tensors, others: Tensors) -> list[Tensor]:
    """Return t - o of each."""
    return list(torch._foreach_sub(list(tensors), list(others)))


def times(tensors: Tensors, others: Tensors | Tensor | float) -> list[Tensor]:
    """Return t * o of each; `others` may be one number, as a tensor too, for all."""
    return list(torch._foreach_mul(list(tensors), others if isinstance(others, (float, Tensor)) else list(others)))


def over(tensors: Tensors, others: Tensors | Tensor) -> list[Tensor]:
    """Return t / o of each; `others` may be one number, as a tensor, for all."""
    return list(torch._foreach_div(list(tensors), others if isinstance(others, Tensor) else list(others)))


def norms(tensors: Tensors, order: int = 2) -> list[Tensor]:
    """Return the norm of each, []."""
    return list(torch._foreach_norm(list(tensors), order))


def add_(tensors: Tensors, others: Tensors) -> None:
    """Add o to each t, in place."""
    torch._foreach_add_(list(tensors), list(others))


def copy_(tensors: Tensors, others: Tensors) -> None:
    """Set each t to o, in place."""
    torch._foreach_copy_(list(tensors), list(others))


def lerp_(tensors: Tensors, others: Tensors, weight: float) -> None:
    """Move each t by `weight` of the way to o, in place."""
    torch._foreach_lerp_(list(tensors), list(others), weight)

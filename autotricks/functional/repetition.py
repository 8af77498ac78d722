"""Repetition: a step done a fixed number of times, as a loop here and as one operator in a graph."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor], tuple[Tensor, tuple[Tensor, ...]]]    # state -> the next state, and what the step found


def repeated(step: Step, state: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return what each of some steps found, stacked, [count, ...].

    A graph for production holds the step once: written out, a hundred of them take minutes to export, and a megabyte.

    Args:
        step: Must change nothing in place, return nothing that it was given, and read no two views of one tensor.
        state: Before the first step.
        count: How many steps are done.
    """
    if torch.compiler.is_exporting():
        from torch._higher_order_ops.scan import scan  # torch has no public name for it yet

        _, found = scan(lambda state, _: step(state), state, torch.arange(count, device=state.device))
        return tuple(found)
    steps = []
    for _ in range(count):
        state, found = step(state)
        steps.append(found)
    return tuple(torch.stack(each) for each in zip(*steps, strict=True))

"""Gradients a step away from the weights: what tricks share that look at the slope of the loss nearby."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.run import Run
from ..core.slots import Gradients
from . import tensor_lists

TINY = 1e-12    # beside the length of a gradient, against division by zero

Offsets = Callable[[list[Tensor], list[Tensor]], list[Tensor]]  # weights, their gradients -> how far to move each


def uphill(gradients: list[Tensor], length: float) -> list[Tensor]:
    """Return all gradients together scaled to a length."""
    scale = length / (torch.nn.utils.get_total_norm(gradients) + TINY)
    return tensor_lists.times(gradients, scale)


@contextmanager
def replayed(run: Run) -> Iterator[None]:
    """Afterwards, random numbers are drawn again as if nothing had been drawn here: those of the run and of torch."""
    state = run.generator.get_state()
    try:
        with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
            yield
    finally:
        run.generator.set_state(state)


@contextmanager
def displaced(model: nn.Module, weights: list[Tensor], offsets: list[Tensor]) -> Iterator[None]:
    """Move weights of a model by offsets; afterwards they, and all its buffers, are what they were, bit for bit.

    Buffers hold the statistics of batch norm, which are those of the weights and not of places nearby.
    """
    moved = [weight.detach() for weight in weights]
    kept = [*moved, *model.buffers()]
    before = [tensor.clone() for tensor in kept]
    tensor_lists.add_(moved, offsets)
    try:
        yield
    finally:  # out of memory too: the trainer then tries again from these weights
        tensor_lists.copy_(kept, before)


def twice(inner: Gradients, run: Run, offsets: Offsets) -> Callable[[Batch], tuple[Tensor, list[Tensor]]]:
    """Return what takes gradients at the weights, then at an offset from them that depends on the first.

    What it returns are the loss at the weights and the gradients there; `.grad` is left with those at the offset. Both
    passes see the same random numbers, dropout's for one, so that they differ by the offset alone.

    Args:
        inner: Fills `.grad` from a batch.
        run: Holds model and generator.
        offsets: From the weights that have a gradient, and their gradients, how far to move each.
    """
    def both(batch: Batch) -> tuple[Tensor, list[Tensor]]:
        with replayed(run):
            loss = inner(batch)
        weights = [weight for weight in run.model.parameters() if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        with torch.no_grad():
            moves = offsets(list(weights), gradients)
        with displaced(run.model, list(weights), moves):
            inner(batch)
        return loss, gradients
    return both

"""Recomputing blocks of a model in the backward pass, with all that they count counted once."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import ModelError

SEQUENCES = (nn.Sequential, nn.ModuleList)


class _Recomputed:
    """What a block does instead of its own `forward`: that, and again for its gradients."""

    def forward(self, *inputs: Any) -> Any:
        """Return what the block returns; where gradients are wanted, only `inputs` are kept for them."""
        ordinary = super().forward  # type: ignore[misc]
        if not torch.is_grad_enabled():
            return ordinary(*inputs)
        before = [(module, name, value.clone()) for module in self.modules()  # type: ignore[attr-defined]
                  for name, value in module.named_buffers(recurse=False)]
        return checkpoint(ordinary, *inputs, use_reentrant=False,
                          context_fn=lambda: (nullcontext(), _replaced(before)))


@contextmanager
def _replaced(buffers: list[tuple[nn.Module, str, Tensor]]) -> Iterator[None]:
    """Put other tensors in the place of buffers, and afterwards the buffers back as they were.

    What is recomputed so reads the statistics that it read at first, and moves those of nobody.
    """
    own = [module.get_buffer(name) for module, name, _ in buffers]
    for module, name, before in buffers:
        setattr(module, name, before)
    try:
        yield
    finally:
        for (module, name, _), value in zip(buffers, own, strict=True):
            setattr(module, name, value)


def blocks(model: nn.Module) -> list[nn.Module]:
    """Return the blocks of a model: parts of several layers that stand in sequences, the outermost.

    A plain sequence of blocks, as the stages of torchvision's ResNets are, counts as its blocks.

    Raises:
        ModelError: When there is none.
    """
    parts = _blocks(model)
    if not parts:
        raise ModelError(f"{type(model).__name__} has no blocks to recompute: no parts of several layers in a "
                         "torch.nn.Sequential or ModuleList. Take another model, or drop activation_checkpointing.")
    return parts


def _blocks(model: nn.Module) -> list[nn.Module]:
    parts = []
    for child in model.children():
        if isinstance(model, SEQUENCES) and type(child) not in SEQUENCES and _several(child):
            parts.append(child)
        else:
            parts += _blocks(child)
    return parts


def _several(part: nn.Module) -> bool:
    """Return whether a part has more than one layer."""
    return sum(not any(True for _ in module.children()) for module in part.modules()) > 1


def recompute_blocks(model: nn.Module) -> None:
    """Let each block of a model keep its inputs alone until its gradients are computed; again changes nothing.

    The class of a block is replaced, not the block: names, weights, hooks and copies stay what they are.

    Raises:
        ModelError: When there is no block.
    """
    for block in blocks(model):
        if not isinstance(block, _Recomputed):
            block.__class__ = _recomputed(type(block))  # type: ignore[arg-type]


@cache
def _recomputed(kind: type[nn.Module]) -> type[nn.Module]:
    return type(kind.__name__, (_Recomputed, kind), {})

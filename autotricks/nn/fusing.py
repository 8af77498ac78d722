"""Fusing: from the model that is trained to a plain one that computes the same."""
from __future__ import annotations

import copy
from abc import ABC, abstractmethod

from torch import nn


class Fusible(nn.Module, ABC):
    """A module that a trick put in for training, with a plain equivalent for evaluation."""

    @abstractmethod
    def fused(self) -> nn.Module:
        """Return a module of torch's own, which maps inputs in evaluation mode to the same outputs."""


def fuse(model: nn.Module) -> nn.Module:
    """Return a copy of the model in which each `Fusible` is its plain equivalent, in evaluation mode.

    The names of all other modules stay; what is computed stays but for rounding.
    """
    plain = copy.deepcopy(model).eval()
    if isinstance(plain, Fusible):
        return plain.fused().eval()
    for name, module in list(plain.named_modules()):
        if isinstance(module, Fusible):
            plain.set_submodule(name, module.fused().eval())
    return plain

"""No bias decay: weight decay on weights alone, not on biases and normalization."""
from __future__ import annotations

from collections.abc import Set
from typing import Any

from torch import Tensor

from ...core.run import Run
from ...core.slots import Groups, Slot
from ...core.trick import Trick
from ...nn.decay import decayed


def split(group: dict[str, Any], kept: Set[Tensor]) -> Groups:
    """Return the group's weights that are `kept` as they are, and the rest with `weight_decay` 0; no empty group."""
    weights = [weight for weight in group["params"] if weight in kept]
    rest = [weight for weight in group["params"] if weight not in kept]
    halves = {**group, "params": weights}, {**group, "params": rest, "weight_decay": 0.0}
    return [half for half in halves if half["params"]]


class NoBiasDecay(Trick):
    """Decay the weights of convolutions and linear layers only; leave biases and normalization alone.

    What has one dimension, or none, is a bias or a scale. Tokens and tables of positions are left alone too: those that
    the model names in `no_weight_decay`, as timm's do; in other models those that are called so.

    Paper: He et al. 2018, https://arxiv.org/abs/1812.01187, section 3.1.
    Cost: none.
    """

    seats = {Slot.PARAMETERS: "decay"}

    def parameters(self, inner: Groups, run: Run) -> Groups:
        """Return each group in two: decayed and not decayed."""
        kept = set(decayed(run.model).values())
        return [half for group in inner for half in split(group, kept)]

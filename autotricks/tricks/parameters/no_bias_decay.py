"""No bias decay: weight decay on weights alone, not on biases and normalization."""
from __future__ import annotations

from typing import Any

from ...core.run import Run
from ...core.slots import Groups, Slot
from ...core.trick import Trick


def split(group: dict[str, Any]) -> Groups:
    """Return the group's weights of more than one dimension, and the rest with `weight_decay` 0; no empty group."""
    weights = [weight for weight in group["params"] if weight.ndim > 1]
    rest = [weight for weight in group["params"] if weight.ndim <= 1]
    halves = {**group, "params": weights}, {**group, "params": rest, "weight_decay": 0.0}
    return [half for half in halves if half["params"]]


class NoBiasDecay(Trick):
    """Decay the weights of convolutions and linear layers only; leave biases and normalization alone.

    What has one dimension, or none, is a bias or a scale.

    Paper: He et al. 2018, https://arxiv.org/abs/1812.01187, section 3.1.
    Cost: none.
    """

    seats = {Slot.PARAMETERS: "decay"}

    def parameters(self, inner: Groups, run: Run) -> Groups:
        """Return each group in two: decayed and not decayed."""
        return [half for group in inner for half in split(group)]

"""AdamW: Adam with weight decay taken off the weights themselves."""
from __future__ import annotations

import torch

from ...core.domain import Above, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


class Adamw(Trick):
    """Step as Adam does, and shrink the weights by lr * weight_decay beside it.

    The decay does not pass through the moments, so all weights shrink at one rate, which follows the schedule.

    Paper: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101, algorithm 2, betas 0.9 and 0.999.
    Cost: two buffers the size of the weights.
    Deviates: the decay is multiplied by the learning rate, not by the schedule's factor alone.
    """

    seats = {Slot.OPTIMIZER: "base"}
    lr: float = tunable(1e-3, search=Float(1e-5, 3e-3, log=True), legal=Above(0), unit="weight units a step")
    weight_decay: float = tunable(0.01, search=Float(1e-4, 0.1, log=True), legal=at_least(0))

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder of AdamW."""
        def adamw(groups: Groups) -> torch.optim.Optimizer:
            return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)
        return adamw

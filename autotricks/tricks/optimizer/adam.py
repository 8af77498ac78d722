"""Adam: steps scaled by running moments of the gradient, with L2 regularization."""
from __future__ import annotations

import torch

from ...core.domain import Above, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


class Adam(Trick):
    """Step along the running mean of gradients over the root of their running square, both bias-corrected.

    Weight decay is added to the gradient (L2), so that it is scaled down where gradients are large; `adamw` takes it
    off the weights instead.

    Paper: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1, betas 0.9 and 0.999.
    Cost: two buffers the size of the weights.
    Deviates: the default rate is 3e-4, not 1e-3.
    """

    seats = {Slot.OPTIMIZER: "base"}
    lr: float = tunable(3e-4, search=Float(1e-5, 3e-3, log=True), legal=Above(0), unit="weight units a step")
    weight_decay: float = tunable(0.0, search=Choice(0.0, 1e-5, 1e-4, 1e-3), legal=at_least(0))

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder of Adam."""
        def adam(groups: Groups) -> torch.optim.Optimizer:
            return torch.optim.Adam(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)
        return adam

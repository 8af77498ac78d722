"""AdaBound: Adam whose step sizes are squeezed, over time, into the single rate of SGD."""
from __future__ import annotations

import torch

from ...core.domain import Above, Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


class Adabound(Trick):
    """Step as Adam does, with the step size of each weight clipped to bounds that close in on `final_lr`.

    At step t the bounds are f * (1 - 1 / (gamma * t + 1)) and f * (1 + 1 / (gamma * t)), where f is `final_lr` times
    the schedule's factor. What sets the rate once, such as linear scaling, moves `final_lr` by the same ratio.
    Weight decay is added to the gradient (L2).

    Paper: Luo et al. 2019, https://arxiv.org/abs/1902.09843, algorithm 2; with `amsbound` algorithm 3.
    Cost: two buffers the size of the weights, three with `amsbound`; about five passes over the weights a step.
    Deviates: as in the authors' code there is no further division by the root of t, and moments are bias-corrected.
    """

    seats = {Slot.OPTIMIZER: "base"}
    lr: float = tunable(1e-3, search=Float(1e-5, 3e-3, log=True), legal=Above(0), unit="weight units a step")
    final_lr: float = tunable(0.1, search=Float(0.01, 1.0, log=True), legal=Above(0),
                              unit="weight units a gradient unit")
    gamma: float = tunable(1e-3, search=Float(1e-4, 1e-2, log=True), legal=Between(0, 1, without=(0,)),
                           unit="share of the way closed a step")
    weight_decay: float = tunable(5e-4, search=Float(1e-5, 1e-3, log=True), legal=at_least(0))
    amsbound: bool = tunable(False, search=Choice(False, True))

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder of AdaBound or AMSBound."""
        def adabound(groups: Groups) -> torch.optim.Optimizer:
            from pytorch_optimizer import AdaBound  # costs seconds: only for those who train with it

            return AdaBound(groups, lr=self.lr, final_lr=self.final_lr, gamma=self.gamma,
                            weight_decay=self.weight_decay, weight_decouple=False, ams_bound=self.amsbound)
        return adabound

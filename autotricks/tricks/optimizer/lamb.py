"""LAMB: Adam whose step is, for each tensor, as long as the rate says in proportion to the weights."""
from __future__ import annotations

import torch

from ...core.domain import Above, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


class Lamb(Trick):
    """Step along Adam's direction plus weight_decay * w, stretched to lr times the length of a tensor's weights.

    Made for batches of thousands of images. First the gradient of all weights together is clipped to length 1. What has
    no weight decay, as biases under `no_bias_decay`, steps as Adam does.

    Paper: You et al. 2020, https://arxiv.org/abs/1904.00962, algorithm 2; betas 0.9 and 0.999.
    Cost: two buffers the size of the weights; about eight passes over the weights a step.
    Deviates: the paper bounds the length of the weights and does not clip; this is timm's, after NVIDIA's code, with
        which the recipes of Wightman et al. 2021, https://arxiv.org/abs/2110.00476, were trained.
    """

    seats = {Slot.OPTIMIZER: "base"}
    lr: float = tunable(5e-3, search=Float(2e-4, 1e-2, log=True), legal=Above(0), unit="share of the weights a step")
    weight_decay: float = tunable(0.02, search=Float(1e-3, 0.1, log=True), legal=at_least(0))

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder of LAMB."""
        def lamb(groups: Groups) -> torch.optim.Optimizer:
            from timm.optim.lamb import Lamb as TimmLamb  # costs seconds: only for those who train with it

            return TimmLamb(groups, lr=self.lr, weight_decay=self.weight_decay)
        return lamb

"""SGD: stochastic gradient descent with momentum, plain or Nesterov's."""
from __future__ import annotations

import torch

from ...core.domain import Above, Between, Choice, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


class Sgd(Trick):
    """Step along the moving sum of gradients: v = momentum * v + g; w = w - lr * v.

    Nesterov's form steps along g + momentum * v. Weight decay is added to the gradient.

    Paper: Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html, equations 1 to 4.
    Cost: one buffer the size of the weights.
    """

    seats = {Slot.OPTIMIZER: "base"}
    lr: float = tunable(0.1, search=Float(1e-3, 1.0, log=True), legal=Above(0), unit="weight units a gradient unit")
    momentum: float = tunable(0.9, search=Choice(0.8, 0.9, 0.95), legal=Between(0, 1, without=(1,)))
    nesterov: bool = tunable(False, search=Choice(False, True))
    weight_decay: float = tunable(1e-4, search=Float(1e-5, 1e-3, log=True), legal=at_least(0))

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder of SGD; Nesterov without momentum is plain SGD."""
        def sgd(groups: Groups) -> torch.optim.Optimizer:
            optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay,
                                        nesterov=self.nesterov and self.momentum > 0, fused=True)
            if self.momentum:
                optimizer.register_step_pre_hook(_begin)
            return optimizer
        return sgd


def _begin(optimizer: torch.optim.Optimizer, *rest: object) -> None:
    """Give weights without momentum a momentum of 0: fused SGD fails where some of a group have one and others not."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.grad is not None and "momentum_buffer" not in optimizer.state[weight]:
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

"""Linear scaling: a learning rate in proportion to the batch size."""
from __future__ import annotations

from torch.optim import Optimizer

from ...core.domain import Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


class LinearScaling(Trick):
    """Multiply the optimizer's learning rate by batch size / `base`.

    The batch size is that of an optimizer step, however memory has it cut into micro-batches.

    Paper: Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.1; as He et al. 2018,
    https://arxiv.org/abs/1812.01187, section 3.1, has it: 0.1 * B / 256.
    Cost: none.
    """

    seats = {Slot.OPTIMIZER: "rate"}
    base: int = tunable(256, search=Choice(256), legal=at_least(1), unit="images a step")

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder whose optimizer has every group's rate scaled."""
        def scaled(groups: Groups) -> Optimizer:
            optimizer = inner(groups)
            for group in optimizer.param_groups:
                group["lr"] *= run.batch_size / self.base
            return optimizer
        return scaled

"""Momentum cycling: less momentum while the learning rate is high."""
from __future__ import annotations

from torch.optim import Optimizer

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick


def momentum(fraction: float, low: float, high: float) -> float:
    """Return the momentum at a learning rate that is `fraction` of its peak: `low` at the peak, `high` at 0."""
    return high - (high - low) * min(max(fraction, 0.0), 1.0)


class MomentumCycling(Trick):
    """Set momentum to high - (high - low) * r / R before each step, r the learning rate and R its peak.

    The peak is the optimizer's rate, after scaling or finding. Made for `one_cycle` and `cyclical`; under any other
    schedule momentum rises as the rate falls. Of Adam and its kin the first beta is set.

    Paper: Smith 2018, https://arxiv.org/abs/1803.09820, section 4.3; Smith and Topin 2018,
        https://arxiv.org/abs/1708.07120.
    Cost: none.
    Deviates: torch's OneCycleLR begins each phase exactly at `high` or `low`; here momentum follows the rate, so
        that a first rate of a 25th of the peak has a 25th of the way behind it.
    """

    seats = {Slot.OPTIMIZER: "momentum"}
    low: float = tunable(0.85, search=Float(0.8, 0.9), legal=Between(0, 1, without=(1,)), unit="at the peak rate")
    high: float = tunable(0.95, search=Float(0.9, 0.98), legal=Between(0, 1, without=(1,)), unit="at a rate of 0")

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder whose optimizer sets its momentum before each step."""
        def cycled(groups: Groups) -> Optimizer:
            optimizer = inner(groups)
            peaks = [group["lr"] for group in optimizer.param_groups]

            def follow(stepping: Optimizer, *rest: object) -> None:
                for group, peak in zip(stepping.param_groups, peaks, strict=True):
                    now = momentum(group["lr"] / peak, self.low, self.high)
                    group.update({"betas": (now, *group["betas"][1:])} if "betas" in group else {"momentum": now})
            optimizer.register_step_pre_hook(follow)
            return optimizer
        return cycled

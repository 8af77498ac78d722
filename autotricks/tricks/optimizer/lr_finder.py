"""Learning-rate finder: raise the rate until training breaks, then take one from below that."""
from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer

from ...core.domain import Above, Choice, Float, Int, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...errors import BundleError

MEMORY = 0.9     # weight of the past in the running mean of losses
EXPLODED = 4     # times the lowest running mean so far
SPAN = 10        # steps over which a fall is measured, and steps until the running mean has settled


def ramp(low: float, high: float, iterations: int) -> list[float]:
    """Return `iterations` rates from `low` to `high`, each the same multiple of the one before."""
    return [low * (high / low) ** (step / (iterations - 1)) for step in range(iterations)]


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the bias-corrected running means of `losses` up to the first that is not finite or has exploded."""
    means: list[float] = []
    total = 0.0
    lowest = math.inf
    for step, loss in enumerate(losses, start=1):
        total = MEMORY * total + (1 - MEMORY) * loss
        mean = total / (1 - MEMORY ** step)
        if not math.isfinite(mean) or mean > lowest + (EXPLODED - 1) * abs(lowest):
            break
        means.append(mean)
        lowest = min(lowest, mean)
    return means


def pick(rates: Sequence[float], losses: Sequence[float], rule: str) -> float:
    """Return the rate that `rule` takes from the losses seen at rising rates.

    Args:
        rates: Rising rates, each the same multiple of the one before.
        losses: The loss of the step taken at each rate.
        rule: `steepest`, the middle of the ten steps over which the running mean falls most, or `minimum`, a tenth of
            the rate where it is lowest.
    """
    means = smooth(losses)
    if rule == "minimum" and means:
        return rates[means.index(min(means))] / 10
    if len(means) < 2:
        return rates[0]
    settled = min(SPAN, (len(means) - 1) // 3)
    span = min(SPAN, len(means) - 1 - settled)
    falls = [before - after for before, after in zip(means[settled:], means[settled + span:])]
    return rates[settled + falls.index(max(falls)) + span // 2]


class LrFinder(Trick):
    """Train a few steps at exponentially rising rates, take the rate that `rule` picks, and undo those steps.

    The steps are taken with the bundle's own tricks. Each parameter group keeps its ratio to the largest rate.

    Paper: Smith 2017, https://arxiv.org/abs/1506.01186, section 3.3 (LR range test).
    Cost: `iterations` training steps before the first epoch, counted as spent; a second copy of the weights meanwhile.
    Deviates: the rate rises exponentially, not linearly; one rate is picked from the smoothed loss instead of bounds
        read off an accuracy curve.

    Raises:
        BundleError: When `low` is not below `high`.
    """

    seats = {Slot.OPTIMIZER: "rate"}
    provides = frozenset({Trait.SETS_RATE})
    low: float = tunable(1e-7, search=Float(1e-8, 1e-4, log=True), legal=Above(0), unit="as the optimizer's rate")
    high: float = tunable(10.0, search=Float(1.0, 10.0, log=True), legal=Above(0), unit="as the optimizer's rate")
    iterations: int = tunable(100, search=Choice(100, 200, 300), legal=Int(10, 10_000), unit="steps")
    rule: str = tunable("minimum", search=Choice("steepest", "minimum"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise BundleError(f"lr_finder.low: {self.low:g} is not allowed; low must be < high ({self.high:g}).")

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder that probes the optimizer it builds and sets the rate found."""
        def probed(groups: Groups) -> Optimizer:
            assert run.probe is not None, "the trainer sets run.probe before it builds the optimizer"
            optimizer = inner(groups)
            largest = max(group["lr"] for group in optimizer.param_groups)
            ratios = [group["lr"] / largest for group in optimizer.param_groups]
            rates = ramp(self.low, self.high, self.iterations)
            rate = pick(rates, run.probe(optimizer, rates), self.rule)
            for group, ratio in zip(optimizer.param_groups, ratios):
                group["lr"] = rate * ratio
            return optimizer
        return probed

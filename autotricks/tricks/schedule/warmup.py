"""Warm-up: start with a small learning rate and raise it step by step."""
from __future__ import annotations

from ...core.domain import Between, Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.traits import Trait
from ...core.trick import Trick


def warmup(step: float, steps: float, first: float) -> float:
    """Return the factor of step number `step`, counted from 1: on a line from `first` at 0 to 1 at `steps`, then 1."""
    return 1.0 if step >= steps else first + (1 - first) * step / steps


class Warmup(Trick):
    """Multiply the schedule by a ramp that rises on a straight line to 1 over the first `epochs`.

    The schedule runs on beneath the ramp at the true progress of training, so that its milestones stay where they
    are and agree with windows. Step i of m has the ramp i / m with `first` = 0: no step is lost to a rate of 0.

    Paper: He et al. 2018, https://arxiv.org/abs/1812.01187, section 3.1: `first` = 0, 5 epochs, rate i * lr / m. Zhang
        et al. 2021 (bag of tricks for long-tailed recognition, code) have `first` = 1/3, raised once an epoch.
    Cost: none.
    Deviates: He et al. start their cosine when the warm-up has ended; here it has by then moved on by that much.
    """

    seats = {Slot.SCHEDULE: "warmup"}
    excludes = frozenset({Trait.CYCLES_RATE})
    epochs: float = tunable(5.0, search=Float(0.0, 5.0), legal=at_least(0), unit="epochs")
    first: float = tunable(0.0, search=Float(0.0, 0.33), legal=Between(0, 1), unit="fraction of the base rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the schedule under the ramp."""
        steps = self.epochs * run.steps_per_epoch
        return lambda progress: inner(progress) * warmup(progress * run.steps + 1, steps, self.first)

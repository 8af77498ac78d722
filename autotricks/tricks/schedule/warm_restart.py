"""Warm restart: begin the learning-rate schedule again in the middle of training."""
from __future__ import annotations

from ...core.domain import Above, Between, Float, tunable
from ...core.run import Run
from ...core.slots import Schedule, Slot
from ...core.trick import Trick


def restarted(progress: float, at: float) -> float:
    """Return the progress within the part of training, before or after `at`, that `progress` lies in."""
    return progress / at if progress < at else (progress - at) / (1 - at)


class WarmRestart(Trick):
    """Run schedule, warm-up and floor once before the fraction `at` of training and once after it, `factor` as high.

    What begins anew there, such as a re-drawn classifier or a student of the model so far, so gets a rate that it can
    learn with. The moment is rounded to a whole step as window edges are.

    Paper: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, section 3, with one restart.
    Cost: none.
    Deviates: weights and momentum stay as they are; a warm-up counted in epochs is `at`, then 1 - `at` times as long.
    """

    seats = {Slot.SCHEDULE: "restart"}
    at: float = tunable(0.5, search=Float(0.3, 0.9), legal=Between(0, 1, without=(0, 1)), unit="fraction of training")
    factor: float = tunable(1.0, search=Float(0.01, 1.0, log=True), legal=Above(0), unit="times the first rate")

    def schedule(self, inner: Schedule, run: Run) -> Schedule:
        """Return the schedule, twice."""
        at = min(max(round(self.at * run.steps), 1), max(run.steps - 1, 1)) / run.steps

        def twice(progress: float) -> float:
            if at == 1:  # a single step has no second part
                return inner(progress)
            return inner(restarted(progress, at)) * (1.0 if progress < at else self.factor)
        return twice

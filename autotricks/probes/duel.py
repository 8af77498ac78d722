"""Duel: two ways to train the same model, timed in turn, of which one stands unless the other is clearly faster."""
from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.reporting import Metrics
from ..trainer import Trainer
from ..trial import prepare
from ..tricks.catalog import make

ROUNDS = 7          # of two arms in turn, at most
SPARED = 1          # rounds that the machine may spoil
# How many times as fast an arm must be in all other rounds. With 10 % noise on every timing an arm that is really 1.1
# times as fast is taken in less than one search of a hundred, one that is really 1.8 times as fast in more than 99.
WORTH = 1.2
TICK = 1e-9         # seconds that a step takes at least, as some clocks stand still for long
RATE = 1e-6         # learning rate, so low that no model breaks down meanwhile


@dataclass(frozen=True)
class Duel:
    """Two arms in turn.

    Args:
        standing: The arm that stays unless the other is clearly faster.
        other: The other arm.
        rounds: Seconds of a step of each, the standing one's first.
    """

    standing: str
    other: str
    rounds: tuple[tuple[float, float], ...]

    @property
    def gained(self) -> int:
        """Rounds in which the other arm was clearly faster; none of a breakdown."""
        return sum(math.isfinite(one) and other * WORTH <= one for one, other in self.rounds)

    @property
    def won(self) -> bool:
        """Whether the other arm is clearly faster, whatever the rounds to come would say."""
        return self.gained >= ROUNDS - SPARED

    @property
    def lost(self) -> bool:
        """Whether it is not, whatever the rounds to come would say."""
        return len(self.rounds) - self.gained > SPARED

    def __str__(self) -> str:
        broken = [name for name, times in zip((self.standing, self.other), zip(*self.rounds)) if math.inf in times]
        if broken:
            return f"{self.other} cannot be held against {self.standing}: {broken[0]} broke down"
        time_ratio = statistics.median(other / one for one, other in self.rounds)
        count, than = (self.gained, "at least") if self.won else (len(self.rounds) - self.gained, "less than")
        return (f"{self.other} took {time_ratio:.2f} of the time of {self.standing}, {than} {WORTH} times as fast in "
                f"{count} of {len(self.rounds)} rounds")


def fought(standing: str, other: str, running: Mapping[str, Iterator[Metrics]], clock: Callable[[], float]) -> Duel:
    """Return the duel of two arms, which ends where no round to come would change it.

    Args:
        standing: The arm that stays unless the other is clearly faster.
        other: The other arm.
        running: What trains one step each time it is asked, by arm; kernels are chosen and compiled already.
        clock: In seconds.
    """
    duel = Duel(standing, other, ())
    while not duel.won and not duel.lost:
        # who goes first changes, so that a machine that slows down or speeds up favours neither
        order = (standing, other) if len(duel.rounds) % 2 == 0 else (other, standing)
        times = {arm: timed(running[arm], clock) for arm in order}
        duel = replace(duel, rounds=(*duel.rounds, (times[standing], times[other])))
    return duel


def timed(steps: Iterator[Metrics], clock: Callable[[], float]) -> float:
    """Return the seconds of one step; infinitely many where training broke down."""
    started = clock()
    if not next(steps, None):
        return math.inf
    return max(clock() - started, TICK)


class _Unwatched(Trainer):
    """Train without looking at the validation split."""

    def evaluate(self) -> dict[str, float]:
        """Return no figures."""
        return {}


def steps(bundle: Bundle, dataset: Dataset, device: str, trust: bool) -> Iterator[Metrics]:
    """Return what trains one step of a bundle with plain SGD each time it is asked.

    Args:
        bundle: Model, batch size, and what a step is carried out with.
        dataset: Train, one batch of it, and validation, which is not looked at.
        device: Where to train.
        trust: Whether a model of the form `my.module:function` may be imported.
    """
    bundle = replace(bundle, uses=(make("sgd", {"lr": RATE}), *bundle.uses), epochs=1 + 2 * ROUNDS)
    return prepare(bundle, dataset, device, trust, _Unwatched).epochs()

"""Workload: what a search and its confirmation are expected to train."""
from __future__ import annotations

import math
from dataclasses import dataclass

from ..core.objective import SPEED
from ..space.load import LoadedSpace
from .halving import budgets

# Share of the proposed trials at a rung that the default sampler lets go on. Of those of 18 searches on nine data sets
# 79 % reached a second rung and 58 % the end (benchmarks/results/added_value.jsonl).
KEPT = 0.76
SURE = 6        # trials whose epochs must be known before they count as much as what was expected of them


@dataclass(frozen=True)
class Rung:
    """What happens at one rung.

    Args:
        budget: Epochs after which trials stand there.
        trials: That are expected to come so far.
        epochs: That each spends for it.
    """

    budget: int
    trials: float
    epochs: int


@dataclass(frozen=True)
class Workload:
    """What is to be trained, and how much of it is done.

    Args:
        rungs: Of a search that only its number of trials ends.
        trials: At most.
        limit: Epochs at which the search ends, infinity where only its trials end it.
        length: Epochs of a full training.
        confirmations: Full trainings with fresh seeds after the search, at most.
        spent: Epochs trained already, restarts counted.
        ended: Trials that have ended.
    """

    rungs: tuple[Rung, ...]
    trials: int
    limit: float
    length: int
    confirmations: int
    spent: float = 0.0
    ended: int = 0

    @property
    def share(self) -> float:
        """Epochs that a trial is expected to spend, as a share of a full training; what was spent counts."""
        planned = sum(rung.trials * rung.epochs for rung in self.rungs) / (self.trials * self.length)
        return (SURE * planned + self.spent / self.length) / (SURE + self.ended)

    @property
    def epochs(self) -> float:
        """Epochs that the search is still expected to spend."""
        return max(0.0, min((self.trials - self.ended) * self.share * self.length, self.limit - self.spent))

    @property
    def left(self) -> float:
        """Trials that the search is still expected to begin."""
        return self.epochs / (self.share * self.length)

    @property
    def done(self) -> float:
        """Part of the search that is done, 0 to 1."""
        return self.spent / (self.spent + self.epochs) if self.spent else 0.0


def workload(loaded: LoadedSpace, confirms: bool = True) -> Workload:
    """Return what a search of a space is expected to train.

    Args:
        loaded: The space.
        confirms: Whether the best are trained again with fresh seeds.
    """
    search = loaded.document.search
    length = loaded.document.training.epochs
    steps = budgets(length, search.rungs.first, search.rungs.reduction)
    kept = KEPT if search.sampler == "bayesian" else 1 / search.rungs.reduction
    rungs = expected(search.trials, len(loaded.start), steps, kept, search.rungs.fidelity == "compressed")
    limit = math.inf if search.trainings is None else search.trainings * length
    return Workload(rungs, search.trials, limit, length, _confirmations(loaded) if confirms else 0)


def expected(trials: int, protected: int, budgets: tuple[int, ...], kept: float, compressed: bool) -> tuple[Rung, ...]:
    """Return every rung of a search.

    Args:
        trials: Of the search.
        protected: Trials that reach all rungs, the start bundles.
        budgets: Epochs of the rungs, rising.
        kept: Share of the others that go on at a rung, 0 to 1.
        compressed: Whether each rung trains the whole bundle anew.
    """
    drawn = max(0, trials - protected)
    before = (0, *budgets)
    return tuple(Rung(budget, min(trials, protected) + drawn * kept ** number,
                      budget if compressed else budget - before[number]) for number, budget in enumerate(budgets))


def _confirmations(loaded: LoadedSpace) -> int:
    """Return the trainings of confirmation: the best, the baseline, and the best start bundle if there are others."""
    document = loaded.document
    if not document.objective.metric.startswith(("val/", SPEED)):
        return 0
    others = min(document.confirm.top + (len(loaded.start) > 1), document.search.trials - 1)
    return (others + 1) * document.confirm.trainings

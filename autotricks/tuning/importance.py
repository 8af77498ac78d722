"""Importance: which tricks and parameters the search's better trials share, as a surrogate sees it."""
from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from ..core.domain import Value
from ..runs.ledger import TrialRecord
from ..space.space import Space
from .optuna_sampler import OptunaSampler

FEWEST = 10                    # trials below which nothing is estimated, parameters neither
BEST_FRACTION = 0.1
ENOUGH = 5         # of the trials counted as best, and at least how many
METHOD = "conditional PED-ANOVA"
MEANING = ("a surrogate's view, no effect measured: what the best {best} of the search's {trials} trials have more "
           "often than the rest; parameters of tricks that fewer than {fewest} trials took are left out")


@dataclass(frozen=True)
class Weight:
    """How much of the difference between the best trials and the rest lies in one trick or parameter.

    Args:
        name: `trick` (taken or not) or `trick.parameter` (among the trials that took it).
        share: Of all, from 0 to 1.
        trials: How many took the trick.
    """

    name: str
    share: float
    trials: int


@dataclass(frozen=True)
class Importance:
    """What the surrogate says: weights, largest first, and of how many trials the best are meant."""

    weights: tuple[Weight, ...]
    trials: int
    best: int
    method: str = METHOD

    @property
    def meaning(self) -> str:
        """In words."""
        return MEANING.format(best=self.best, trials=self.trials, fewest=FEWEST)


def importance(space: Space, trials: Sequence[TrialRecord], metric: str, maximize: bool) -> Importance | None:
    """Return what the trials of a search share; None where there are too few.

    Every trial counts, ordered by the budget that it reached and then by its score there, as TPE orders them; only
    the order matters to PED-ANOVA. The many names under which the chooser asks for one seat are read as one yes or no
    for each trick.

    Paper: Conditional PED-ANOVA 2026, https://arxiv.org/abs/2601.20800, algorithm 1: a parameter is weighed among the
        trials that have it, in proportion to how many of all and of the best these are.
    """
    chooser = OptunaSampler(space, "random", 0, maximize, len(trials), bounded=False)
    chooser.replay(trials, metric)
    study_trials = chooser.study.get_trials(deepcopy=False)
    if len(study_trials) < FEWEST:
        return None
    sign = 1 if maximize else -1
    order = sorted(study_trials, key=lambda trial: _reached(trial, sign))
    optional = [entry.name for entry in space.entries if not entry.always]
    bundles = {trial.number: _names(space, trial.params) for trial in study_trials}
    flat = optuna.create_study(direction="maximize")
    counts = Counter(name for names in bundles.values() for name in names)
    for rank, trial in enumerate(order):
        taken = bundles[trial.number]
        params: dict[str, Value] = {name: name in taken for name in optional}
        kinds: dict[str, BaseDistribution] = {name: CategoricalDistribution((False, True)) for name in optional}
        for name, kind in trial.distributions.items():
            owner = name.partition(".")[0]
            if owner in taken and counts[owner] >= FEWEST:
                params[name] = trial.params[name]
                kinds[name] = kind
        flat.add_trial(optuna.create_trial(state=TrialState.COMPLETE, value=float(rank), params=params,
                                           distributions=kinds))
    fraction = max(BEST_FRACTION, min(0.5, ENOUGH / len(study_trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importances = optuna.importance.get_param_importances(
            flat, evaluator=PedAnovaImportanceEvaluator(target_quantile=fraction))
    ranked = sorted(importances, key=lambda name: (-importances[name], name))
    return Importance(tuple(Weight(name, importances[name], counts[name.partition(".")[0]]) for name in ranked),
                      len(study_trials), math.ceil(fraction * len(study_trials)))


def _reached(trial: FrozenTrial, sign: int) -> tuple[float, float]:
    """Return the budget that a trial reached and its score there; one that broke down comes before all."""
    if not trial.intermediate_values:
        return -math.inf, 0.0
    budget = max(trial.intermediate_values)
    return budget, sign * trial.intermediate_values[budget]


def _names(space: Space, picks: dict[str, Value]) -> tuple[str, ...]:
    return space.draw(lambda name, domain: picks[name]).names()

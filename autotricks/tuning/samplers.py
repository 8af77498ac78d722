"""Which sampler proposes, and how it ranks what was trained."""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from ..core.bundle import recipe
from ..core.reporting import End
from ..core.traits import DataTrait
from ..runs.ledger import TrialRecord
from ..space.load import LoadedSpace
from ..tricks.catalog import bundle_from
from .bayesian_sampler import HABITS, BayesianSampler, Habits
from .halving import budgets
from .prior import SHIPPED, load as load_prior

if TYPE_CHECKING:
    from .optuna_sampler import OptunaSampler

ACCURACY_PREFIX = "val/"     # of accuracies: what the prior that ships was learned from


def sampler_of(loaded: LoadedSpace, habits: Habits = HABITS) -> BayesianSampler | OptunaSampler:
    """Return what proposes the trials of a space; habits are those of the default sampler."""
    document = loaded.document
    space = loaded.space
    settings = document.search
    objective = document.objective.objective()
    if settings.sampler != "bayesian":
        from .optuna_sampler import OptunaSampler  # and with it Optuna, which the default does without

        return OptunaSampler(space, settings.sampler, settings.seed, objective.maximize, settings.trials)
    prior = load_prior(settings.prior, DataTrait.BOXES in space.task.brings)
    accuracy = objective.maximize and objective.metric.startswith(ACCURACY_PREFIX)
    if settings.prior == SHIPPED and not accuracy:
        prior = replace(prior, effects={}, curves={}, portfolio=())     # it knows nothing of losses and speed
    if settings.rungs.fidelity == "compressed":
        prior = replace(prior, curves={})
    rungs = budgets(document.training.epochs, settings.rungs.first, settings.rungs.reduction)
    steps = document.training.epochs * math.ceil(loaded.images / space.frame.batch_size)
    return BayesianSampler(space, settings.seed, rungs, objective, prior.trusted(prior.trust(steps)), habits)


def ranked(loaded: LoadedSpace, trials: Sequence[TrialRecord]) -> list[tuple[int, float]]:
    """Return the number of one trial of each bundle that was trained to the end, and its score, the best first.

    The best is so by all evidence. With a model the score is what the model thinks that the bundle is worth, which is
    less than the best of many single scores; else it is the mean over the bundle's seeds.
    """
    objective = loaded.document.objective.objective()
    sampler = sampler_of(loaded)
    if isinstance(sampler, BayesianSampler):
        sampler.replay(trials, objective.metric)
        return [(known.number, sampler.score(mean)) for known, mean, _ in sampler.ranking()]
    scores: dict[str, list[tuple[int, float]]] = {}
    for trial in trials:
        score = trial.score(objective.metric)
        if trial.end == End.FINISHED.value and score is not None:
            scores.setdefault(recipe(bundle_from(trial.bundle)), []).append((trial.number, score))
    means = [(trained[0][0], fmean(score for _, score in trained)) for trained in scores.values()]
    return sorted(means, key=lambda pair: (-objective.sign * pair[1], pair[0]))

"""Chooser: which bundle to try next, by Optuna over the conditional space."""
from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from ..core.bundle import SEEDS, Bundle, recipe
from ..core.domain import Choice, Domain, Float, Int, Value
from ..core.reporting import End
from ..errors import SpaceError
from ..runs.ledger import TrialRecord
from ..space.space import Space
from ..tricks.catalog import bundle_from
from .bounded_storage import BoundedStorage
from .proposal import Picks, Proposal

ATTEMPTS = 20       # draws, until one is new; then a bundle is trained with another seed


class OptunaSampler:
    """Proposes bundles and learns from their scores.

    A trial that stopped at a rung is told to Optuna as pruned, with its scores at each budget; one that diverged as
    pruned without any, however far it came, which TPE ranks last. Each proposal draws from a generator seeded by the
    search's seed and the trial's number, so that the same history leads to the same proposal.

    Args:
        space: Where to draw from.
        sampler: `tpe`, `random` or `grid`.
        seed: Seed of the search.
        maximize: Whether a larger score is better.
        trials: Trials planned; a grid ends earlier where it is smaller.
        bounded: Whether only the best and the most recent trials are remembered, so that a decision costs the same
            after thousands.
    """

    def __init__(self, space: Space, sampler: str, seed: int, maximize: bool, trials: int,
                 bounded: bool = True):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._sampler = sampler
        self._seed = seed
        self._study = optuna.create_study(storage=BoundedStorage(maximize) if bounded else None,
                                          direction="maximize" if maximize else "minimize")
        self._open: dict[int, optuna.Trial] = {}
        self._scores: dict[int, dict[int, float]] = {}   # of open trials, by budget
        self._trials = trials
        self._grid: list[Picks] | None = None
        self._start: set[str] = set()       # bundles that are trained anyhow, which a grid leaves out
        self._tried: dict[str, int] = {}    # how often each bundle was proposed, whatever its seed
        if sampler == "grid":
            endless = [f"{path}: {text}" for path, text in space.endless().items()]
            if endless:
                raise SpaceError(endless)

    @property
    def study(self) -> optuna.Study:
        """What Optuna knows."""
        return self._study

    def propose(self, number: int, proposed: int) -> Proposal | None:
        """Return a bundle and the picks that drew it; None when a grid is exhausted.

        Args:
            number: Number of the trial.
            proposed: How many trials were proposed before, start trials left out.
        """
        if self._sampler == "grid":
            if self._grid is None:
                self._grid = list(islice(self._unlike(self._start), self._trials))
            if proposed >= len(self._grid):
                return None
            self._study.enqueue_trial(self._grid[proposed])
        bundle, picks = self._ask(number)
        for attempt in range(1, ATTEMPTS) if self._sampler != "grid" else ():
            if recipe(bundle) not in self._tried:
                break
            self._withdraw(number)
            bundle, picks = self._ask(number, attempt)
        seen = self._note(bundle)
        return Proposal(replace(bundle, seed=(bundle.seed + seen) % SEEDS) if seen else bundle, picks)

    def _unlike(self, known: Container[str]) -> Iterator[Picks]:
        """Yield what a grid walks, less the bundles that are known."""
        for picks in self._space.choices():
            if recipe(self._space.draw(partial(_picked, picks))) not in known:
                yield picks

    def _note(self, bundle: Bundle) -> int:
        """Note a bundle; return how often it was there before."""
        seen = self._tried.get(recipe(bundle), 0)
        self._tried[recipe(bundle)] = seen + 1
        return seen

    def _withdraw(self, number: int) -> None:
        """Forget what was asked for: the study hears that it failed, which no sampler looks at."""
        self._scores.pop(number)
        self._study.tell(self._open.pop(number), state=TrialState.FAIL)

    def adopt(self, number: int, bundle: Bundle, start: bool = False, kind: str = "", promise: float = 0.0
              ) -> Picks | None:
        """Take in a bundle that somebody else proposed; return its picks, None where the space does not hold it.

        Args:
            number: Number of the trial.
            bundle: What is trained.
            start: Whether it is a start bundle; that, and what follows, is for samplers that ask.
            kind: Of step that led to it.
            promise: What was expected of it.
        """
        self._note(bundle)
        if start:
            self._start.add(recipe(bundle))
        picks = self._space.locate(bundle)
        if picks is None or not _on_steps(picks, self._distributions(picks)):
            return None
        self._study.enqueue_trial(picks)
        self._ask(number)
        return picks

    def report(self, number: int, budget: int, score: float) -> None:
        """Learn a score at a rung."""
        if number in self._open and math.isfinite(score):
            self._scores[number][budget] = score

    def tell(self, number: int, score: float | None, complete: bool) -> None:
        """Learn that a trial ended; `complete` if it was trained to the end, without a score if it broke down."""
        trial = self._open.pop(number, None)
        if trial is None:
            return
        for budget, known in self._scores.pop(number).items() if score is not None else ():
            trial.report(known, budget)
        if complete and score is not None and math.isfinite(score):
            self._study.tell(trial, score)
        else:
            self._study.tell(trial, state=TrialState.PRUNED)

    def replay(self, trials: Iterable[TrialRecord], metric: str) -> None:
        """Learn what a ledger says of trials that ended."""
        for trial in trials:
            if trial.end is None:
                continue
            self._note(bundle_from(trial.bundle))
            if trial.label:
                self._start.add(recipe(bundle_from(trial.bundle)))
            if trial.picks is None:
                continue
            rungs = [] if trial.end in (End.DIVERGED.value, End.OUT_OF_MEMORY.value) else trial.rungs
            scores = {line["budget"]: line["metrics"].get(metric) for line in rungs}
            known = {budget: score for budget, score in scores.items() if score is not None}
            complete = trial.end == End.FINISHED.value and bool(known)
            self._study.add_trial(optuna.create_trial(
                state=TrialState.COMPLETE if complete else TrialState.PRUNED,
                value=known[max(known)] if complete else None,
                params=trial.picks, distributions=self._distributions(trial.picks), intermediate_values=known))

    def _ask(self, number: int, attempt: int = 0) -> tuple[Bundle, Picks]:
        self._study.sampler = self._seeded(f"{number}/{attempt}" if attempt else str(number))
        trial = self._study.ask()
        self._open[number] = trial
        self._scores[number] = {}
        picks: dict[str, Value] = {}

        def pick(name: str, domain: Domain) -> Value:
            picks[name] = _suggest(trial, name, domain)
            return picks[name]
        return self._space.draw(pick), picks

    def _seeded(self, number: str) -> BaseSampler:
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}/{number}".encode()).digest()[:4], "big")
        if self._sampler != "tpe":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=seed, n_startup_trials=8, multivariate=True, group=True, constant_liar=True)

    def _distributions(self, picks: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        distributions: dict[str, BaseDistribution] = {}

        def follow(name: str, domain: Domain) -> Value:
            distributions[name] = _distribution(domain)
            return picks[name]

        self._space.draw(follow)
        return distributions


def _picked(picks: Picks, name: str, domain: Domain) -> Value:
    return picks[name]


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        value: Value = trial.suggest_categorical(name, domain.options)  # type: ignore[assignment]
        return value
    if isinstance(domain, Int):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    assert isinstance(domain, Float)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    assert isinstance(domain, Float)
    return FloatDistribution(domain.low, domain.high, step=domain.step, log=domain.log)


def _on_steps(picks: Mapping[str, Value], distributions: Mapping[str, BaseDistribution]) -> bool:
    """Return whether no pick lies between the steps of a range, where Optuna would put another in its place."""
    positions = [(float(picks[name]) - domain.low) / domain.step for name, domain in distributions.items()
                 if isinstance(domain, FloatDistribution) and domain.step]
    return all(math.isclose(position, round(position), abs_tol=1e-8) for position in positions)

"""Chooser: which bundle to try next, by Optuna over the conditional space."""
from __future__ import annotations

import hashlib
import math
import random
import warnings
from collections.abc import Iterable, Mapping
from itertools import islice

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from ..core.bundle import Bundle
from ..core.domain import Choice, Domain, Float, Int, Value
from ..core.report import End
from ..errors import SpaceError
from ..space.space import Space
from .ledger import TrialRecord
from .memory import Memory

Picks = dict[str, Value]

# Evolution: the share of proposals without a parent; how many of the best are parents; choices that change on the
# average; tricks of a proposal without a parent.
STRANGERS, PARENTS, CHANGES, TRICKS = 0.25, 3, 2, 5


class Chooser:
    """Proposes bundles and learns from their scores.

    A trial that stopped at a rung is told to Optuna as pruned, with its scores at each budget; one that diverged as
    pruned without any, however far it came, which TPE ranks last. Each proposal draws from a generator seeded by the
    search's seed and the trial's number, so that the same history leads to the same proposal.

    Args:
        space: Where to draw from.
        sampler: `evolution`, `tpe`, `random` or `grid`.
        seed: Seed of the search.
        maximize: Whether a larger score is better.
        trials: Trials planned; a grid ends earlier where it is smaller.
        bounded: Whether only the best and the most recent trials are remembered, so that a decision costs the same
            after thousands.
    """

    def __init__(self, space: Space, sampler: str, seed: int, maximize: bool, trials: int,
                 bounded: bool = True):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space, self._sampler, self._seed = space, sampler, seed
        self._study = optuna.create_study(storage=Memory(maximize) if bounded else None,
                                          direction="maximize" if maximize else "minimize")
        self._sign = 1 if maximize else -1
        self._given: set[int] = set()   # Optuna's numbers of the start bundles
        self._open: dict[int, optuna.Trial] = {}
        self._scores: dict[int, dict[int, float]] = {}   # of open trials, by budget
        self._grid = list(islice(space.choices(), trials)) if sampler == "grid" else []
        if sampler == "grid":
            endless = [f"{path}: {text}" for path, text in space.endless().items()]
            if endless:
                raise SpaceError(endless)

    @property
    def study(self) -> optuna.Study:
        """What Optuna knows."""
        return self._study

    def propose(self, number: int, place: int) -> tuple[Bundle, Picks] | None:
        """Return a bundle and the picks that drew it; None when a grid is exhausted.

        Args:
            number: Number of the trial.
            place: How many trials were proposed before, start trials left out.
        """
        if self._sampler == "grid":
            if place >= len(self._grid):
                return None
            self._study.enqueue_trial(self._grid[place])
        elif self._sampler == "evolution":
            kept = self._offspring(random.Random(f"{self._seed}/{number}"))
            if kept:
                self._study.enqueue_trial(kept)
        return self._ask(number)

    def _offspring(self, chance: random.Random) -> Picks:
        """Return the tricks of the next proposal: those of one of the best bundles but for a few, or a few strangers.

        Start bundles are parents before they have scores: who names them believes in them.

        Half of a parent's parameters are left to TPE, as is whatever the new choices ask for.
        """
        trials = self._study.get_trials(deepcopy=False)
        done = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        best = sorted(done, key=lambda trial: -self._sign * (trial.value or 0.0))[:PARENTS]
        parents = best + [trial for trial in trials if trial.number in self._given and not trial.state.is_finished()]
        if not parents or chance.random() < STRANGERS:
            return self._stranger(chance)
        parent = chance.choice(parents)
        choices = [name for name, domain in parent.distributions.items() if isinstance(domain, CategoricalDistribution)]
        chance.shuffle(choices)
        rate = min(CHANGES / max(1, len(choices)), 0.25)
        changed = {name for name in choices if chance.random() < rate} or {*choices[:1]}
        kept: Picks = {}
        for name, domain in parent.distributions.items():
            if isinstance(domain, CategoricalDistribution):
                others = [option for option in domain.choices if option != parent.params[name]]
                other = name in changed and others
                kept[name] = chance.choice(others) if other else parent.params[name]  # type: ignore[assignment]
            elif chance.random() < 0.5:
                kept[name] = parent.params[name]
        return kept

    def _stranger(self, chance: random.Random) -> Picks:
        """Return choices at random, with about `TRICKS` tricks: with every second of forty one would spoil the rest."""
        places = 0

        def counted(name: str, domain: Domain) -> Value:
            nonlocal places
            places += _yes_or_no(domain)
            return _any(domain, chance)
        self._space.draw(counted)
        share, picks = min(0.5, TRICKS / max(1, places)), {}

        def few(name: str, domain: Domain) -> Value:
            value = chance.random() < share if _yes_or_no(domain) else _any(domain, chance)
            if isinstance(domain, Choice):
                picks[name] = value
            return value
        self._space.draw(few)
        return picks

    def adopt(self, number: int, bundle: Bundle, start: bool = False) -> Picks | None:
        """Take in a bundle that somebody else proposed; return its picks, None where the space does not hold it.

        Args:
            number: Number of the trial.
            bundle: What is trained.
            start: Whether it is a start bundle.
        """
        picks = self._space.locate(bundle)
        if picks is None or not _on_steps(picks, self._distributions(picks)):
            return None
        self._study.enqueue_trial(picks)
        self._ask(number)
        if start:
            self._given.add(self._open[number].number)
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

    def _ask(self, number: int) -> tuple[Bundle, Picks]:
        self._study.sampler = self._seeded(number)
        trial = self._study.ask()
        self._open[number], self._scores[number] = trial, {}
        bundle = self._space.draw(lambda name, domain: _suggest(trial, name, domain))
        return bundle, dict(trial.params)

    def _seeded(self, number: int) -> BaseSampler:
        seed = int.from_bytes(hashlib.sha256(f"{self._seed}/{number}".encode()).digest()[:4], "big")
        if self._sampler not in ("tpe", "evolution"):
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            joint = self._sampler == "tpe"  # evolution asks for a few parameters alone; joint TPE would draw them all
            return TPESampler(seed=seed, n_startup_trials=8, multivariate=joint, group=joint, constant_liar=True)

    def _distributions(self, picks: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        found: dict[str, BaseDistribution] = {}

        def follow(name: str, domain: Domain) -> Value:
            found[name] = _distribution(domain)
            return picks[name]

        self._space.draw(follow)
        return found


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        value: Value = trial.suggest_categorical(name, domain.options)  # type: ignore[assignment]
        return value
    if isinstance(domain, Int):
        return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    assert isinstance(domain, Float)
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)


def _yes_or_no(domain: Domain) -> bool:
    return isinstance(domain, Choice) and domain.options == (False, True)


def _any(domain: Domain, chance: random.Random) -> Value:
    """Return any value of a domain."""
    if isinstance(domain, Choice):
        return chance.choice(domain.options)
    if isinstance(domain, Int):
        return chance.randint(domain.low, domain.high)
    assert isinstance(domain, Float)
    return chance.uniform(domain.low, domain.high)


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    assert isinstance(domain, Float)
    return FloatDistribution(domain.low, domain.high, step=domain.step, log=domain.log)


def _on_steps(picks: Mapping[str, Value], distributions: Mapping[str, BaseDistribution]) -> bool:
    """Return whether no pick lies between the steps of a range, where Optuna would put another in its place."""
    places = [(float(picks[name]) - domain.low) / domain.step for name, domain in distributions.items()
              if isinstance(domain, FloatDistribution) and domain.step]
    return all(math.isclose(place, round(place), abs_tol=1e-8) for place in places)

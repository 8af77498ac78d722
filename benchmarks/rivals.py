"""Four searches of other tools as further arms of `added_value.py`: same space, same trainer, same budget.

They run in an environment of their own, which sees the project's packages behind its own; from the project's folder:

    uv venv ENV --python .venv/bin/python
    uv pip install --python ENV/bin/python --no-deps -r benchmarks/rivals.txt
    .venv/bin/python -c "import site; print('import site; site.addsitedir(%r)' % site.getsitepackages()[0])" > \
$(ENV/bin/python -c "import site; print(site.getsitepackages()[0])")/ours.pth

    ENV/bin/python benchmarks/rivals.py run --data FOLDER --work rivals.jsonl --arms smac priorband --seeds 0 1
    ENV/bin/python benchmarks/rivals.py show --work rivals.jsonl

Options and file are those of `added_value.py`, whose own arms can be named here too; with the same `--work` they share
what is trained. The arms:

- `tpe wilcoxon`: Optuna's TPE over the conditional space, each trial on up to three training seeds; Optuna's Wilcoxon
  pruner spares the third where a trial looks worse than the best. Start bundles are enqueued; TPE takes no prior.
- `asha`: Ray Tune's ASHA over the rungs of the search, on bundles drawn from the prior, start bundles first.
- `priorband`: PriorBand of NePS, centred at the published start bundle, which it is told of as a whole training; the
  other start bundles are members of its first bracket.
- `smac`: SMAC3's multi-fidelity facade, with categories weighted by the prior; start bundles are its initial design.

NePS and SMAC see a flat space: one choice for each place that a trick may take, one parameter for each domain. What
they ask for becomes the nearest legal bundle.
"""
from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import added_value
import torch
from added_value import PUBLISHED, load
from sets import REDUCTION
from stretches import Bench, Stretch, outcome_of
from trainings import ACCURACY

from autotricks.core.bundle import Bundle
from autotricks.core.domain import Choice, Domain, Float, Int, Value, nearest
from autotricks.core.objective import Objective
from autotricks.core.reporting import End
from autotricks.space.load import LoadedSpace
from autotricks.space.space import Space, typical
from autotricks.tuning.bayesian_sampler import BayesianSampler
from autotricks.tuning.features import wish_of
from autotricks.tuning.halving import budgets
from autotricks.tuning.prior import load as load_prior

TRIALS = 1000           # where a tool asks for the same bundles again, which costs nothing
SEEDS = 3               # of one trial of TPE
P_THRESHOLD = 0.3       # three pairs never get below 1/8, two not below 1/4: Optuna's own 0.1 would prune nothing
STARTUP = 4             # trials before TPE models anything; its own 10 are more than the budget holds
DRAWN = 60              # bundles that tell SMAC how often the prior takes a trick
NONE = "none"           # of a place that no trick takes
EPOCHS = "epochs"       # the fidelity


class Race:
    """The trainings of one search, and what they cost so far.

    A training goes on where it was when it is asked for more epochs; what was trained already costs nothing again.

    Args:
        bench: What trains.
        epochs: Of a whole training.
    """

    def __init__(self, bench: Bench, epochs: int):
        self._bench, self._epochs = bench, epochs
        self._stretches: dict[str, Stretch] = {}
        self._chance: dict[str, torch.Tensor] = {}
        self._spent: dict[str, float] = {}
        self._done: dict[str, tuple[Bundle, float]] = {}
        self._began, self._training = time.monotonic(), 0.0
        self.trials = 0

    @property
    def spent(self) -> float:
        """Epochs, in whole trainings."""
        return sum(self._spent.values()) / self._epochs

    @property
    def open(self) -> bool:
        """Whether there is budget for more."""
        return self.spent < added_value.TRAININGS and self.trials < TRIALS

    def train(self, bundle: Bundle, epochs: int) -> float:
        """Train a bundle up to so many epochs; return its score there, 0 where it broke down."""
        began, digest = time.monotonic(), bundle.hash
        stretch = self._stretches.setdefault(digest, self._bench.stretch(bundle))
        with torch.random.fork_rng(devices=[]):     # trainings that take turns must not share random numbers
            if digest in self._chance:
                torch.set_rng_state(self._chance[digest])
            row = stretch.until(epochs)
            self._chance[digest] = torch.get_rng_state()
        outcome, spent = outcome_of(row, 0, epochs, self._epochs, 0.0)
        self._spent[digest] = max(spent, self._spent.get(digest, 0.0))
        broken = outcome.end not in (None, End.FINISHED)
        score = 0.0 if broken else outcome.metrics.get(ACCURACY, 0.0)
        if outcome.end is End.FINISHED:
            self._done[digest] = bundle, score
        self._training += time.monotonic() - began
        return score

    def result(self, chosen: list[tuple[Bundle, float]] | None = None) -> dict[str, Any]:
        """Return what `added_value.py` expects of an arm; chosen is, unless told, what was trained to the end."""
        found = [*self._done.values()] if chosen is None else chosen
        deciding = time.monotonic() - self._began - self._training
        return {"chosen": sorted(found, key=lambda pair: -pair[1]), "spent": self.spent, "trials": self.trials,
                "decision_ms": round(1000 * deciding / max(1, self.trials), 1)}


# searches over the conditional space

def tpe_wilcoxon(bench: Bench, seed: int) -> dict[str, Any]:
    """Search with Optuna's TPE, each trial on up to three seeds, which the Wilcoxon pruner cuts short."""
    import optuna

    from autotricks.tuning.optuna_sampler import _suggest

    loaded = load(bench, seed)
    frame = loaded.space.frame
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            direction="maximize", pruner=optuna.pruners.WilcoxonPruner(p_threshold=P_THRESHOLD),
            sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=STARTUP))
    for bundle in loaded.start.values():
        study.enqueue_trial(loaded.space.locate(bundle) or {})
    race, chosen = Race(bench, frame.epochs), []
    while race.open:
        race.trials += 1
        trial = study.ask()
        bundle = loaded.space.draw(lambda name, domain, trial=trial: _suggest(trial, name, domain))
        scores: list[float] = []
        while len(scores) < SEEDS and race.open:
            scores.append(race.train(replace(bundle, seed=frame.seed + len(scores)), frame.epochs))
            trial.report(scores[-1], len(scores) - 1)
            if trial.should_prune():
                break
        study.tell(trial, fmean(scores))    # of a pruned trial too, as Optuna advises for this pruner
        chosen.append((bundle, fmean(scores)))
    return race.result(chosen)


def asha(bench: Bench, seed: int) -> dict[str, Any]:
    """Draw bundles from the prior and let Ray Tune's ASHA decide which of them are trained on."""
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    loaded = load(bench, seed)
    rungs = _rungs(loaded)
    clock = [REDUCTION ** rung for rung in range(len(rungs))]   # rungs evenly spaced, whatever their epochs
    scheduler = ASHAScheduler(time_attr="clock", metric="score", mode="max", grace_period=1,
                              reduction_factor=REDUCTION, max_t=REDUCTION ** len(rungs))
    race = Race(bench, rungs[-1])
    bundles = _bundles(loaded, seed)
    while race.open:
        trial: Any = _Trial(str(race.trials))
        race.trials += 1
        bundle = next(bundles)
        scheduler.on_trial_add(None, trial)
        for now, epochs in zip(clock, rungs, strict=True):
            score = race.train(bundle, epochs)
            if scheduler.on_trial_result(None, trial, {"clock": now, "score": score}) != TrialScheduler.CONTINUE:
                break
    return race.result()


@dataclass(frozen=True)
class _Trial:
    """What ASHA asks of a trial."""

    trial_id: str


def _rungs(loaded: LoadedSpace) -> tuple[int, ...]:
    return budgets(loaded.space.frame.epochs, loaded.document.search.rungs.first, REDUCTION)


def _bundles(loaded: LoadedSpace, seed: int) -> Iterator[Bundle]:
    """Yield the start bundles, then draws from the prior without end, as `added_value.by_prior` trains them."""
    yield from loaded.start.values()
    sampler = _sampler(loaded, seed)
    yield from (sampler.drawn(number) for number in count(len(loaded.start)))


def _sampler(loaded: LoadedSpace, seed: int) -> BayesianSampler:
    return BayesianSampler(loaded.space, seed, (loaded.space.frame.epochs,), Objective(ACCURACY),
                           load_prior(loaded.document.search.prior))


# searches over a flat space

@dataclass(frozen=True)
class Flat:
    """A space without conditions: who takes each place, and every parameter whether its trick is there or not.

    A configuration maps each place to a trick or `NONE`, and each `trick.parameter` to a number or, where the domain
    is a choice, to the option as a word.

    Args:
        space: Which bundles are legal.
    """

    space: Space

    @cached_property
    def places(self) -> dict[str, tuple[str, ...]]:
        """The tricks that each place may hold: a single seat is a place, and so is each trick of a shared one."""
        found: dict[str, list[str]] = {}
        for entry in self.space.entries:
            if entry.always:
                continue
            slot, seat = entry.place
            name = f"{slot.value} {seat}" if entry.single else f"use {entry.name}"
            empty = not (entry.single and slot.seat(seat).required and self._listed(slot, seat))
            found.setdefault(name, [NONE] if empty else []).append(entry.name)
        return {name: tuple(options) for name, options in found.items() if len(options) > 1}

    @cached_property
    def domains(self) -> dict[str, Domain]:
        """What is searched of each parameter, by `trick.parameter`; those of one option are left out."""
        return {f"{entry.name}.{name}": domain for entry in self.space.entries
                for name, domain in entry.domains.items()
                if not (isinstance(domain, Choice) and len(domain.options) == 1)}

    def place_of(self, parameter: str) -> tuple[str, str]:
        """Return the place of a parameter's trick, empty where that is always there, and the trick."""
        trick = parameter.rpartition(".")[0]
        return next((place for place, options in self.places.items() if trick in options), ""), trick

    def locate(self, bundle: Bundle) -> dict[str, float | int | str]:
        """Return the configuration of a bundle; parameters of tricks that it lacks are at their defaults."""
        wish = wish_of(bundle)
        found: dict[str, float | int | str] = {
            place: next((option for option in options if option in wish), NONE)
            for place, options in self.places.items()}
        for name, domain in self.domains.items():
            trick, _, parameter = name.rpartition(".")
            found[name] = _code(nearest(wish.get(trick, {}).get(parameter, typical(name, domain)), domain), domain)
        return found

    def active(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return a configuration without the parameters of tricks that it does not take."""
        return {name: value for name, value in configuration.items()
                if name in self.places or configuration.get(self.place_of(name)[0]) in (None, self.place_of(name)[1])}

    def bundle(self, configuration: Mapping[str, Any]) -> Bundle:
        """Return the legal bundle closest to a configuration, which may leave out what its tricks do not need."""
        taken = [str(configuration[place]) for place in self.places]
        wish: dict[str, dict[str, Value]] = {trick: {} for trick in taken if trick != NONE}
        for name, domain in self.domains.items():
            trick, _, parameter = name.rpartition(".")
            if name in configuration and (trick in wish or not self.place_of(name)[0]):
                wish.setdefault(trick, {})[parameter] = _value(configuration[name], domain)
        return self.space.closest(wish)

    def _listed(self, slot: Any, seat: str) -> bool:
        """Return whether a seat's default is among the tricks, so that it is never left to what is not listed."""
        usual = self.space.task.defaults
        return any(entry.name in usual and entry.place == (slot, seat) for entry in self.space.entries)


def _code(value: Value, domain: Domain) -> float | int | str:
    if isinstance(domain, Choice):
        return next(str(option) for option in domain.options if option == value)
    return int(value) if isinstance(domain, Int) else float(value)


def _value(code: Any, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        return next(option for option in domain.options if str(option) == str(code))
    return nearest(int(code) if isinstance(domain, Int) else float(code), domain)


def _first(rungs: tuple[int, ...]) -> float:
    """Return the first rung before it was rounded, a hair less, so that a tool finds as many rungs as we have."""
    return rungs[-1] / REDUCTION ** (len(rungs) - 1) * (1 - 1e-9)


def priorband(bench: Bench, seed: int) -> dict[str, Any]:
    """Search with PriorBand of NePS around the published start bundle."""
    import neps
    import numpy as np
    from neps.space.parameters import HPOFloat

    loaded = load(bench, seed)
    rungs, flat = _rungs(loaded), Flat(loaded.space)
    fidelity = HPOFloat(lower=_first(rungs), upper=rungs[-1], is_fidelity=True)
    optimizer = neps.algorithms.priorband(
        neps.SearchSpace({**_with_priors(flat, loaded), EPOCHS: fidelity}), eta=REDUCTION, base="hyperband")
    tool, race = neps.AskAndTell(optimizer), Race(bench, rungs[-1])
    for label, bundle in loaded.start.items():      # the centre is trained whole first, others join the first bracket
        rung = len(rungs) - 1 if label == PUBLISHED else 0
        configuration = {**flat.locate(bundle), EPOCHS: optimizer.rung_to_fid[rung]}
        race.trials += 1
        tool.tell_custom(config_id=f"{race.trials}_rung_{rung}", config=configuration,
                         result={"objective_to_minimize": 1 - race.train(bundle, rungs[rung])})
    while race.open:
        race.trials += 1
        np.random.seed([seed, race.trials])     # NePS draws from the global generators
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1000 * seed + race.trials)
            trial = tool.ask()
        score = race.train(flat.bundle(trial.config), round(trial.config[EPOCHS]))
        tool.tell(trial, {"objective_to_minimize": 1 - score})
    return race.result()


def _with_priors(flat: Flat, loaded: LoadedSpace) -> dict[str, Any]:
    """Return the parameters of NePS, centred at the published start bundle.

    What that bundle does has high confidence, three of four draws for a choice. It is medium, one of two, for a place
    where our prior expects more of another trick, and for parameters of tricks that the bundle lacks.
    """
    from neps.space.parameters import HPOCategorical, HPOFloat, HPOInteger

    effects = load_prior(loaded.document.search.prior).effects
    published = loaded.start[PUBLISHED]
    centre, found = flat.locate(published), {}
    for place, options in flat.places.items():
        worth = {option: effects.get(option, (0.0, 0.0))[0] for option in options}
        sure = max(worth.values()) <= worth[str(centre[place])]
        found[place] = HPOCategorical([*options], prior=centre[place], prior_confidence=_confidence(sure))
    for name, domain in flat.domains.items():
        trick = name.rpartition(".")[0]
        prior: Any = {"prior": centre[name], "prior_confidence": _confidence(trick in published.names())}
        if isinstance(domain, Choice):
            found[name] = HPOCategorical([str(option) for option in domain.options], **prior)
        else:
            assert isinstance(domain, (Float, Int))
            kind = HPOInteger if isinstance(domain, Int) else HPOFloat
            found[name] = kind(domain.low, domain.high, log=domain.log, **prior)
    return found


def _confidence(sure: bool) -> str:
    return "high" if sure else "medium"


def smac(bench: Bench, seed: int) -> dict[str, Any]:
    """Search with the multi-fidelity facade of SMAC3: a random forest that feeds Hyperband."""
    from ConfigSpace import Configuration
    from smac import MultiFidelityFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    loaded = load(bench, seed)
    rungs, flat = _rungs(loaded), Flat(loaded.space)
    space = _config_space(flat, loaded, seed)
    start = {Configuration(space, flat.active(flat.locate(bundle))): bundle for bundle in loaded.start.values()}
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(space, deterministic=True, min_budget=_first(rungs), max_budget=rungs[-1],
                            n_trials=TRIALS, seed=seed, output_directory=Path(folder))
        facade = MultiFidelityFacade(
            scenario, None, logging_level=False, overwrite=True,
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=0, additional_configs=[*start]))
        race = Race(bench, rungs[-1])
        while race.open:
            race.trials += 1
            asked = facade.ask()
            bundle = start.get(asked.config) or flat.bundle(dict(asked.config))     # ConfigSpace rounds the ninth digit
            score = race.train(bundle, round(asked.budget or rungs[-1]))
            facade.tell(asked, TrialValue(cost=1 - score), save=False)
    return race.result()


def _config_space(flat: Flat, loaded: LoadedSpace, seed: int) -> Any:
    """Return the space of SMAC: a trick is drawn as often as our prior draws it, parameters depend on their trick."""
    from ConfigSpace import (
        CategoricalHyperparameter,
        ConfigurationSpace,
        EqualsCondition,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    centre = flat.locate(loaded.start[PUBLISHED])
    sampler = _sampler(loaded, seed)
    drawn = [flat.locate(sampler.drawn(number)) for number in range(DRAWN)]
    space = ConfigurationSpace(seed=seed)
    for place, options in flat.places.items():
        weights = [(1 + sum(one[place] == option for one in drawn)) for option in options]
        space.add(CategoricalHyperparameter(place, options, weights=weights, default_value=centre[place]))
    for name, domain in flat.domains.items():
        if isinstance(domain, Choice):
            parameter: Any = CategoricalHyperparameter(name, [str(option) for option in domain.options],
                                                       default_value=centre[name])
        else:
            assert isinstance(domain, (Float, Int))
            kind = UniformIntegerHyperparameter if isinstance(domain, Int) else UniformFloatHyperparameter
            parameter = kind(name, domain.low, domain.high, default_value=centre[name], log=domain.log)
        space.add(parameter)
        place, trick = flat.place_of(name)
        if place:
            space.add(EqualsCondition(parameter, space[place], trick))
    return space


ARMS = {"tpe wilcoxon": tpe_wilcoxon, "asha": asha, "priorband": priorband, "smac": smac}
added_value.ARMS.update(ARMS)   # in each worker too, which imports this file anew


def main() -> int:
    return added_value.main()


if __name__ == "__main__":
    sys.exit(main())

"""Outline: what a space contains and what a search of it would cost, before anything is trained."""
from __future__ import annotations

import math
import textwrap

from ...core.bundle import Bundle
from ...space.load import LoadedSpace
from ...space.space import Space
from ...space.weights import begins
from ...tuning.halving import budgets
from .search import to_json


def combinations(count: int, counted: bool) -> str:
    """Return a number of combinations in words; an estimate as a power of ten."""
    return f"{count:,} combinations" if counted else f"about 10^{math.log10(count):.0f} combinations"


def show(loaded: LoadedSpace, as_json: bool, unchecked: str | None = None) -> None:
    """Print what a space contains, its quarrels, the advice on it, what a search costs, and what is not known yet."""
    space = loaded.space
    document = loaded.document
    rungs = budgets(document.training.epochs, document.search.rungs.first, document.search.rungs.reduction)
    plan = expected(document.search.trials, len(loaded.start), rungs, document.search.rungs.reduction,
                    document.search.rungs.fidelity == "compressed")
    seats: dict[str, list[str]] = {}
    for entry in space.entries:
        slot, seat = entry.place
        choice = "one of" if entry.single else "yes/no"
        mark = "always" if entry.always else choice
        ranges = ", ".join(f"{name} {domain}" for name, domain in entry.domains.items())
        line = f"{mark}  {entry.name}" + (f"  [{ranges}]" if ranges else "")
        seats.setdefault(f"{slot.value}.{seat}", []).append(line)
    search = document.search
    cost = sum(count * epochs for _, count, epochs in plan)
    if search.sampler == "bayesian":        # which stops no trial at fixed rungs
        cost = search.trials * rungs[-1]
    if search.trainings is not None:
        cost = min(cost, search.trainings * rungs[-1])
    if as_json:
        to_json({"name": document.name, "models": {model: begins(loaded, model) for model in space.models},
                 "choices": space.size()[0], "seats": seats, "quarrels": space.quarrels(),
                 "advice": space.warnings(), "unchecked": unchecked,
                 "rungs": [{"budget": budget, "trials": round(count, 1)} for budget, count, _ in plan],
                 "epochs": round(cost), "start": {name: str(bundle) for name, bundle in loaded.start.items()}})
        return
    print(f"{document.name}: {len(space.entries)} tricks, {combinations(*space.size())} of choices, "
          f"{sum(len(entry.domains) for entry in space.entries)} searched parameters\n")
    for model in space.models:
        print(f"  {'model':<20} {model} begins with {begins(loaded, model)}")
    for seat_name, lines in seats.items():
        for line in lines:
            print(f"  {seat_name:<20} {line}")
    _section("Start trials", [f"{name}: {bundle}{_lacks(bundle, space)}" for name, bundle in loaded.start.items()])
    _section("Never together", space.quarrels())
    _section(f"Advised against ({'left out' if space.avoid else 'searched all the same'})", space.warnings())
    if search.sampler == "bayesian":
        _section("Rungs", [f"{', '.join(map(str, rungs))} epochs; a trial goes on as long as what is still expected of "
                           "it is worth the epochs that are left"])
    else:
        _section("Rungs", [f"{budget:>5} epochs: about {count:.0f} trials" for budget, count, _ in plan])
    _section("Not checked", [unchecked] if unchecked else [])
    most = "at most " if search.sampler == "bayesian" else "about "
    again = (document.confirm.top + 2) * document.confirm.trainings     # with the best start bundle and the baseline
    print(f"\nCost: {most}{cost:.0f} epochs, those of {cost / rungs[-1]:.3g} full trainings, in at most "
          f"{search.trials} trials; confirmation then takes up to {again} full trainings.")
    print(f"Next: autotricks search --space {loaded.tree.file}")


def _lacks(bundle: Bundle, space: Space) -> str:
    """Return what is always there but in a start trial, whose own tricks leave no place for it."""
    absent = [entry.name for entry in space.entries if entry.always and entry.name not in bundle.names()]
    return f"; without {' and '.join(absent)}, always there otherwise: its own tricks leave no place" if absent else ""


def expected(trials: int, protected: int, rungs: tuple[int, ...], reduction: int,
             compressed: bool) -> list[tuple[int, float, int]]:
    """Return (budget, trials expected there, epochs that each spends for it) of every rung.

    Start trials reach all; of the others, 1/reduction go on at each rung.
    """
    drawn = max(0, trials - protected)
    before = (0, *rungs)
    return [(budget, min(trials, protected) + drawn / reduction ** rung,
             budget if compressed else budget - before[rung]) for rung, budget in enumerate(rungs)]


def _section(name: str, lines: list[str]) -> None:
    if lines:
        print(f"\n{name}:")
        for line in lines:
            print(textwrap.fill(line, 110, initial_indent="  ", subsequent_indent="    "))

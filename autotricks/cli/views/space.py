"""Outline: what a space contains and what a search of it would cost, before anything is trained."""
from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...core.bundle import Bundle, Use
from ...probes.duration import Duration
from ...space.load import LoadedSpace
from ...space.space import Space
from ...space.weights import begins
from ...tuning.workload import workload
from .search import to_json

TRAINING = "training."      # with which a line begins that is of no trick, so that nothing can be left out
MANY = 10**12       # combinations, from which their number of digits is all that matters


@dataclass(frozen=True)
class Found:
    """What was found out about a space by trying.

    Args:
        unchecked: What could not be, and why; None where nothing is left open.
        duration: How long a search takes, or why that is not known.
        refused: Why this machine cannot search it.
        data: What is worth knowing of the data, a line each.
    """

    unchecked: str | None = None
    duration: Duration | str = ""
    refused: tuple[str, ...] = ()
    data: tuple[str, ...] = ()


def combinations(count: int, counted: bool) -> str:
    """Return a number of combinations in words; an estimate, and what nobody can read, as a power of ten."""
    if counted and count < MANY:
        return f"{count:,} combinations"
    return f"about 10^{math.log10(count):.0f} combinations"


def command(space: str, given: Sequence[str], data: str, trust: bool) -> str:
    """Return the command that searches a space as it was checked, to be pasted into a shell."""
    words = ["autotricks", "search", "--space", space, *(["--data", data] if data else []),
             *(word for text in given for word in ("--set", text)), *(["--trust"] if trust else [])]
    return shlex.join(words)


def show(loaded: LoadedSpace, as_json: bool, found: Found, following: str) -> None:
    """Print what a space contains, its quarrels, the advice on it, what a search costs, and what is not known yet.

    Args:
        loaded: The space.
        as_json: Whether to print JSON.
        found: What was found out by trying.
        following: The command that searches it.
    """
    space = loaded.space
    document = loaded.document
    work = workload(loaded)
    search = document.search
    # the default sampler stops no trial at fixed rungs
    most = search.trials * work.length if search.sampler == "bayesian" else work.epochs
    cost = min(most, work.limit)
    seats = _seats(space)
    if as_json:
        known = None if isinstance(found.duration, str) else found.duration
        to_json({"name": document.name, "models": {model: begins(loaded, model) for model in space.models},
                 "choices": space.size()[0], "seats": seats, "quarrels": space.quarrels(),
                 "advice": space.warnings(), "data": list(found.data), "unchecked": found.unchecked,
                 "refused": list(found.refused),
                 "rungs": [{"budget": rung.budget, "trials": round(rung.trials, 1)} for rung in work.rungs],
                 "epochs": round(cost), "seconds": known and round(known.total),
                 "start": {name: str(bundle) for name, bundle in loaded.start.items()}})
        return
    print(f"{document.name}: {len(space.entries)} tricks, {combinations(*space.size())} of choices, "
          f"{sum(len(entry.domains) for entry in space.entries)} searched parameters\n")
    for model in space.models:
        print(f"  {'model':<20} {model} begins with {begins(loaded, model)}")
    for seat_name, lines in seats.items():
        for line in lines:
            print(f"  {seat_name:<20} {line}")
    _section("Data", found.data)
    _section("Start trials", start_trials(loaded.start, space))
    _section("Never together", space.quarrels())
    warned = space.warnings()
    _section("Likely to go wrong (searched all the same)", [line for line in warned if line.startswith(TRAINING)])
    _section(f"Advised against ({'left out' if space.avoid else 'searched all the same'})",
             [line for line in warned if not line.startswith(TRAINING)])
    if search.sampler == "bayesian":
        _section("Rungs", [f"{', '.join(str(rung.budget) for rung in work.rungs)} epochs; a trial goes on as long as "
                           "what is still expected of it is worth the epochs that are left"])
    else:
        _section("Rungs", [f"{rung.budget:>5} epochs: about {rung.trials:.0f} trials" for rung in work.rungs])
    _section("Not checked", [found.unchecked] if found.unchecked else [])
    bound = "at most " if search.sampler == "bayesian" else "about "
    again = f"confirmation then takes up to {work.confirmations} full trainings" if work.confirmations else (
        "nothing is confirmed, as the metric is no figure of images that training has not seen")
    print(f"\nCost: {bound}{cost:.0f} epochs, those of {cost / work.length:.3g} full trainings, in at most "
          f"{search.trials} trials; {again}.")
    if found.duration:
        print(f"Time: {found.duration}.")
    print(f"Next: {following}")


def _seats(space: Space) -> dict[str, list[str]]:
    """Return a line for each trick of a space, by its main seat."""
    seats: dict[str, list[str]] = {}
    for entry in space.entries:
        slot, seat = entry.place
        choice = "one of" if entry.single else "yes/no"
        mark = "always" if entry.always else choice
        ranges = ", ".join(f"{name} {domain}" for name, domain in entry.domains.items())
        line = f"{mark}  {entry.name}" + (f"  [{ranges}]" if ranges else "")
        seats.setdefault(f"{slot.value}.{seat}", []).append(line)
    return seats


def start_trials(start: Mapping[str, Bundle], space: Space) -> list[str]:
    """Return a line for each bundle to start with: what it adds to the one before, where that is less to read."""
    lines = []
    before: tuple[str, Bundle] | None = None
    missed = ""
    for name, bundle in start.items():
        lacks = _lacks(bundle, space)
        short = _added(bundle, *before) if before else ""
        lines.append(f"{name}: {short or bundle}{lacks if lacks != missed or not short else ''}")
        before = name, bundle
        missed = lacks
    return lines


def _added(bundle: Bundle, name: str, before: Bundle) -> str:
    """Return a bundle by what it has and another has not; nothing where that is no shorter than all of it."""
    had = {use.trick.name: use for use in before.uses}
    new = [use for use in bundle.uses if had.get(use.trick.name) != use]
    dropped = [other for other in had if other not in bundle.names()]
    if len(new) + len(dropped) >= len(bundle.uses):
        return ""
    changed = [_differing(use, had[use.trick.name]) if use.trick.name in had else str(use) for use in new]
    words = "".join(f" + {word}" for word in changed)
    return f"{name}{words}" + (f", without {' and '.join(dropped)}" if dropped else "")


def _differing(use: Use, other: Use) -> str:
    """Return a use with the values in which it is not as another of the same trick."""
    theirs = {**other.trick.values(), "start": other.window.start, "stop": other.window.stop}
    ours = {**use.trick.values(), "start": use.window.start, "stop": use.window.stop}
    values = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                       for name, value in ours.items() if theirs[name] != value)
    return f"{use.trick.name} ({values})"


def _lacks(bundle: Bundle, space: Space) -> str:
    """Return what is always there but in a start trial, whose own tricks leave no place for it."""
    absent = [entry.name for entry in space.entries if entry.always and entry.name not in bundle.names()]
    return f"; without {' and '.join(absent)}, always there otherwise: its own tricks leave no place" if absent else ""


def _section(name: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"\n{name}:")
        for line in lines:
            print(textwrap.fill(line, 110, initial_indent="  ", subsequent_indent="    "))

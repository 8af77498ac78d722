"""Parallel coordinates: one line a trial, through what it chose, to what came of it."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..runs.evidence import Evidence, is_figure
from ..runs.ledger import TrialRecord
from ..tricks.catalog import catalog
from .html import Html, joined, tag, words
from .plot import Scale, label, tick_label
from .trials import CROWD, MANY, kind, layered, tip

CHOICES = 5
NUMBERS = 2         # axes of each kind beside the results
STEP = 114
HEIGHT = 340
TOP = 44
BOTTOM = 20
LABEL = 18                      # letters that fit between two axes
NONE = "none"
OTHER = "others"
OPTIONS = 10


@dataclass(frozen=True)
class Axis:
    """One coordinate: where each trial lies, from 0 at the bottom to 1, and what stands beside the axis."""

    name: str
    positions: Mapping[int, float]
    ticks: Sequence[tuple[float, str]]


def coordinates(evidence: Evidence) -> Html:
    """Return the plot: the choices that matter most, then the rung reached and the score."""
    axes = [*_chosen(evidence), *_results(evidence)]
    width = STEP * len(axes) + 50
    marks: list[str] = []
    for index, axis in enumerate(axes):
        x = STEP * index + 30
        at, anchor = (x - 6, "start") if axis is not axes[-1] else (width, "end")
        marks += [tag("line", {"class": "pole", "x1": x, "x2": x, "y1": TOP, "y2": HEIGHT - BOTTOM}),
                  label(at, TOP - 22, axis.name, anchor, "axis")]
    for trial in layered(evidence):
        points = " ".join(f"{STEP * index + 30},{_y(axis.positions[trial.number])}" for index, axis in enumerate(axes)
                          if trial.number in axis.positions)
        marks.append(tag("polyline", {"class": f"line {kind(evidence, trial)}", "points": points,
                                      "data-trial": trial.number, "data-tip": tip(evidence, trial)}))
    marks += [label(STEP * index + 36, _y(height) + 4, text) for index, axis in enumerate(axes)
              for height, text in axis.ticks]
    return tag("figure", {"class": "wide" + MANY * (len(evidence.drawn) > CROWD)},
               tag("figcaption", None, "Choices, rung reached and score of the trials"),
               tag("div", {"class": "scroll"}, tag("svg", {
                   "viewBox": f"0 0 {width} {HEIGHT}", "style": f"min-width:{width * 9 // 10}px", "role": "img",
                   "aria-label": "Parallel coordinates of the trials; the table below lists the same"}, marks)),
               tag("p", {"class": "note"}, "Shown are choices in which champion and baseline differ, then those that "
                   "part the first rung's scores most. What goes together here need not be the cause: trials differ in "
                   "many choices at once."))


def _y(height: float) -> float:
    return round(HEIGHT - BOTTOM - 8 - height * (HEIGHT - TOP - BOTTOM - 16), 1)


def _chosen(evidence: Evidence) -> list[Axis]:
    """Return the axes of the choices that tell champion and baseline apart, or else part the scores."""
    first = {trial.number: trial.rungs[0]["metrics"].get(evidence.metric) for trial in evidence.trials if trial.rungs}
    scores = {number: value for number, value in first.items() if is_figure(value)}
    seats = _seats(evidence.trials)
    values = _values(evidence.trials)
    pair = [trial.number for trial in (evidence.best, evidence.baseline) if trial]
    ranked = sorted(seats, key=lambda name: (len({seats[name][number] for number in pair}) < 2,
                                             -_parted(seats[name], scores)))
    numeric = [name for name, known in values.items()
               if len(known) * 2 >= len(evidence.trials) and len(set(known.values())) > 2]
    return [*(_category(name, seats[name]) for name in ranked[:CHOICES]),
            *(_numeric(name, values[name], evidence) for name in numeric[:NUMBERS])]


def _seats(trials: Sequence[TrialRecord]) -> dict[str, dict[int, str]]:
    """Return for each seat that not all trials fill alike which trick each has there."""
    choices: dict[str, dict[int, str]] = {}
    seats = {name: _seat(name) for name in dict.fromkeys(name for trial in trials
                                                         for name in trial.bundle.get("tricks", {}))}
    for trial in trials:
        for name in trial.bundle.get("tricks", {}):
            chosen = choices.setdefault(seats[name], {})
            chosen[trial.number] = f"{chosen[trial.number]} + {name}" if trial.number in chosen else name
    full = {seat: {trial.number: chosen.get(trial.number, NONE) for trial in trials}
            for seat, chosen in choices.items()}
    return {seat: chosen for seat, chosen in full.items() if len(set(chosen.values())) > 1}


def _seat(trick: str) -> str:
    """Return the main slot and seat of a trick; a trick that is not installed here is its own."""
    kind = catalog().get(trick)
    if kind is None:
        return trick
    slot, seat = next(iter(kind.seats.items()))
    return slot.value if slot.value == seat else f"{slot.value}: {seat}"


def _values(trials: Sequence[TrialRecord]) -> dict[str, dict[int, float]]:
    """Return every number that a trick of a trial has, by `trick.parameter`."""
    values: dict[str, dict[int, float]] = {}
    for trial in trials:
        for name, parameters in trial.bundle.get("tricks", {}).items():
            for key, value in parameters.items():
                if is_figure(value):
                    values.setdefault(f"{name}.{key}", {})[trial.number] = float(value)
    return values


def _parted(chosen: Mapping[int, str], scores: Mapping[int, float]) -> float:
    """Return which share of the scores' variation lies between groups, less what as many random groups would get."""
    groups: dict[str, list[float]] = {}
    for number, value in scores.items():
        groups.setdefault(chosen[number], []).append(value)
    if len(scores) - len(groups) < 1:
        return 0.0
    mean = fmean(scores.values())
    total = sum((value - mean) ** 2 for value in scores.values()) or 1.0
    between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
    return 1 - (1 - between / total) * (len(scores) - 1) / (len(scores) - len(groups))


def _category(name: str, chosen: Mapping[int, str]) -> Axis:
    """Return the axis of a choice, one place for each option; the rarest share one."""
    common = {option for option, _ in Counter(chosen.values()).most_common(OPTIONS)} | {NONE}
    chosen = {number: option if option in common else OTHER for number, option in chosen.items()}
    options = sorted(set(chosen.values()), key=lambda option: (option != NONE, option != OTHER, option))
    at = {option: (index + 0.5) / len(options) for index, option in enumerate(options)}
    return Axis(name, {number: at[option] for number, option in chosen.items()},
                [(height, option if len(option) < LABEL else option[:LABEL - 2] + "…")
                 for option, height in at.items()])


def _numeric(name: str, known: Mapping[int, float], evidence: Evidence) -> Axis:
    """Return the axis of a number; trials without it lie at the bottom."""
    from math import log10

    low = min(known.values())
    high = max(known.values())
    wide = low > 0 and high / low > 30
    scale = Scale(log10(low) if wide else low, log10(high) if wide else high, 0, 1)
    positions = {number: 0.15 + 0.85 * scale.fraction(log10(value) if wide else value)
                 for number, value in known.items()}
    ticks = [(0.15, f"{low:.2g}"), (1.0, f"{high:.2g}")]
    without = len(known) < len(evidence.trials)
    return Axis(name, {**{trial.number: 0.0 for trial in evidence.trials}, **positions},
                [*ticks, *([(0.0, NONE)] if without else [])])


def _results(evidence: Evidence) -> list[Axis]:
    """Return the axes of the rung reached and of the score there."""
    budgets = list(evidence.budgets) or [0]
    at = {budget: (index + 0.5) / len(budgets) for index, budget in enumerate(budgets)}
    scores = {trial.number: value for trial in evidence.trials if (value := evidence.score(trial)) is not None}
    scale = Scale.over(scores.values(), 0, 1, 0)
    rungs = Axis("epochs reached", {trial.number: at[trial.rungs[-1]["budget"]] for trial in evidence.trials
                                    if trial.rungs}, [(height, str(budget)) for budget, height in at.items()])
    return [rungs, Axis(words(evidence.metric), {number: scale.fraction(value) for number, value in scores.items()},
                        [(scale.fraction(tick), tick_label(tick, evidence.metric)) for tick in scale.ticks()])
            ] if scores else [rungs]


def plots(evidence: Evidence) -> Html:
    """Return the plot, or a word where a single trial makes none."""
    return coordinates(evidence) if len(evidence.trials) > 1 else joined()

"""Where the trials went: learning curves by rung, the best so far, and the table of trials."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..runs.evidence import LEADING, Evidence, is_figure
from ..runs.ledger import TrialRecord
from .html import Html, formatted, joined, table, tag, time, words
from .plot import Panel, Scale, legend, tick_label
from .rows import Track, chart, row

MOST = 200      # rows of the table; trials.csv has all
CROWD = 100
MANY = " many"      # trials above which lines are drawn faint, and the class that says so
LAYERS = ("stopped", "finished", "baseline", "champion")    # drawn in this order, what matters last
LEGEND = (("champion", "champion"), ("baseline", "baseline"), ("finished", "trained to the end"),
          ("stopped", "stopped at a rung"), ("broken", "diverged or failed"))


def kind(evidence: Evidence, trial: TrialRecord) -> str:
    """Return how a trial is drawn."""
    role = evidence.role(trial)
    if role in LAYERS:
        return role
    return "stopped" if role == "unfinished" else "broken"


def layered(evidence: Evidence) -> list[TrialRecord]:
    """Return the trials in the order in which they are drawn."""
    return sorted(evidence.drawn, key=lambda trial: (
        LAYERS.index(kind(evidence, trial)) if kind(evidence, trial) in LAYERS else 0))


def tricks(trial: TrialRecord) -> str:
    """Return the names of a trial's tricks."""
    return " + ".join(trial.bundle.get("tricks", {}))


def tip(evidence: Evidence, trial: TrialRecord, value: float | None = None) -> str:
    """Return what a mark of a trial says."""
    at = evidence.score(trial) if value is None else value
    reached = tick_label(round(at, 4), evidence.metric) if at is not None else "no score"
    return f"trial {trial.number}, {evidence.role(trial)}: {reached} | {trial.label or tricks(trial)}"


def curves(evidence: Evidence) -> Html:
    """Return one plot for each rung: the figure after each epoch, of every trial that was trained at it."""
    panels = []
    for budget in evidence.budgets:
        lines = []
        for trial in layered(evidence):
            for line in trial.rungs:
                points = _points(line, evidence.metric) if line["budget"] == budget else []
                if points:
                    lines.append((trial, points))
        if lines:
            panel = Panel.over([x for _, points in lines for x, _ in points],
                               [y for _, points in lines for _, y in points], "epoch", evidence.metric)
            count = sum(any(line["budget"] == budget for line in trial.rungs) for trial in evidence.trials)
            panels.append(panel.drawn(
                f"Rung of {budget} epochs: {count:,} trial{'s' * (count > 1)}",
                [panel.line(points, kind(evidence, trial), trial.number, tip(evidence, trial, points[-1][1]))
                 if len(points) > 1 else panel.dot(points[0], kind(evidence, trial), trial.number,
                                                   tip(evidence, trial, points[0][1])) for trial, points in lines]))
    crowd = MANY * (len(evidence.drawn) > CROWD)
    return joined(legend_of(evidence), thinned(evidence), tag("div", {"class": "panels" + crowd}, panels))


def thinned(evidence: Evidence) -> Html:
    """Return a word on which trials the figures show, where those are not all."""
    drawn = len(evidence.drawn)
    there = len(evidence.trials)
    return tag("p", {"class": "note"}, f"Drawn are {drawn} of {there:,} trials: the {LEADING} best, those with a name, "
               "and of the others every one at an even distance. Figures in words are of all.") if drawn < there else (
                   joined())


def progress(evidence: Evidence) -> Html:
    """Return the best so far against epochs spent, with every result at a rung."""
    spent = 0.0
    best = None
    full = max(evidence.budgets, default=0)
    dots = []
    steps = []
    drawn, fit = ({trial.number for trial in trials} for trials in (evidence.drawn, evidence.eligible))
    for trial, line in _in_order(evidence):
        spent += line["epochs"]
        value = line["metrics"].get(evidence.metric)
        if not is_figure(value):
            continue
        if trial.number in drawn:
            dots.append((trial, line, spent, value))
        if line["budget"] == full and trial.number in fit:
            better = best is None or evidence.sign * value > evidence.sign * best
            steps += [(spent, best), (spent, value)] if better and best is not None else [(spent, value)] * better
            best = value if better else best
    if not dots:
        return tag("p", None, "No trial has a figure to show.")
    steps += [(spent, best)] if best is not None else []
    base = evidence.score(evidence.baseline) if evidence.baseline else None
    panel = Panel.over([0.0, spent], [value for *_, value in dots], "epochs spent", evidence.metric)
    marks = [panel.level(base, "baseline")] if base is not None else []
    marks += [panel.dot((at, value), f"{kind(evidence, trial)} {'' if line['budget'] == full else 'early'}",
                        trial.number, f"{tip(evidence, trial, value)} | after {line['budget']} epochs")
              for trial, line, at, value in dots]
    marks += [panel.line([(x, y) for x, y in steps if y is not None], "best", None, "best so far")] if steps else []
    return panel.drawn(f"Best {words(evidence.metric)} so far, against epochs spent", marks, note=(
        "The solid line is the best that was trained in full. One dot for each result at a rung; pale are early rungs, "
        "trained for fewer epochs."))


def rungs(evidence: Evidence) -> Html:
    """Return how many trials reached each rung and what was the best there."""
    reached = {budget: [line["metrics"].get(evidence.metric) for trial in evidence.trials for line in trial.rungs
                        if line["budget"] == budget] for budget in evidence.budgets}
    most = max(map(len, reached.values()), default=1)
    track = Track(Scale(0, most, 0, 100), "trials")
    lines = []
    for budget, values in reached.items():
        known = [value for value in values if is_figure(value)]
        best = max(known, key=lambda value: evidence.sign * value) if known else None
        lines.append(row(f"{budget} epochs", [track.span(0, len(values), "bar")], joined(
            tag("data", {"value": len(values)}, f"{len(values):,}"), tag("small", None, " best "),
            formatted(best, evidence.metric))))
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(evidence.ends.items()))
    return tag("figure", None, tag("figcaption", None, "Trials that were trained at each rung"),
               chart(lines, "short wide-value"),
               tag("p", {"class": "note"}, f"How the {len(evidence.trials):,} trials ended: {ends}. Start bundles "
                   "always go to the end; of the others, the best at a rung go on."))


def listing(evidence: Evidence) -> Html:
    """Return the table of trials, best first, then those that came farthest."""
    ranks = {trial.number: rank for rank, trial in enumerate(evidence.ranked)}

    def order(trial: TrialRecord) -> tuple[float, ...]:
        value = evidence.score(trial)
        return (ranks.get(trial.number, len(ranks)), -(trial.rungs[-1]["budget"] if trial.rungs else 0),
                -evidence.sign * value if value is not None else float("inf"), trial.number)
    count = len(evidence.trials)
    rows = [(str(trial.number), joined(tag("b", None, f"{trial.label}: ") if trial.label else "", tricks(trial),
                                        *(tag("div", {"class": "note"}, text) for text in (trial.why, trial.reason)
                                          if text)),
             trial.end or "unfinished", str(trial.rungs[-1]["budget"] if trial.rungs else 0),
             formatted(evidence.score(trial), evidence.metric), f"{trial.epochs:g}",
             time(sum(line["seconds"] for line in trial.rungs)))
            for trial in sorted(evidence.trials, key=order)[:MOST]]
    more = f" The first {MOST} of {count:,}; trials.csv has all." if count > MOST else ""
    return tag("details", None, tag("summary", None, f"All {count:,} trials"),
               tag("p", {"class": "note"}, "Scores of different rungs are not comparable: a trial stopped at an early "
                   "rung was trained for fewer epochs." + more),
               table(("Trial", "Tricks", "End", "Rung", words(evidence.metric), "Epochs spent", "Time"), rows,
                     "trials", (3, 4, 5, 6)))


def legend_of(evidence: Evidence) -> Html:
    """Return the legend of the roles that occur."""
    there = {kind(evidence, trial) for trial in evidence.trials}
    return legend(*(entry for entry in LEGEND if entry[0] in there))


def _in_order(evidence: Evidence) -> Iterator[tuple[TrialRecord, dict[str, Any]]]:
    """Yield every result at a rung, in the order of the ledger."""
    pairs = [(line["seq"], trial, line) for trial in evidence.trials for line in trial.rungs]
    return ((trial, line) for _, trial, line in sorted(pairs, key=lambda pair: pair[0]))


def _points(line: dict[str, Any], metric: str) -> list[tuple[float, float]]:
    """Return (epoch, figure) of a training, without what is no number."""
    return [(float(row["epoch"]), row[metric]) for row in line.get("curve", ()) if is_figure(row.get(metric))]

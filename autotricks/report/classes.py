"""Class by class: what the champion gains and loses, what it takes for what, and how far it may be believed."""
from __future__ import annotations

from typing import Any

from ..core.task import Metric
from ..runs.evidence import Document, Evidence, is_figure, over, repeated
from ..tasks import metric as metric_of
from .html import Html, capital, formatted, gain, joined, table, tag, unit, words
from .plot import legend
from .rows import Track, chart, row

ROWS = 40
MATRIX = 25
MISTAKES = 8
BACKGROUND = "background"


def classwise(evidence: Evidence) -> Html:
    """Return figures of every class, confusion, calibration and thresholds, as far as confirmation kept them."""
    confirmed = evidence.confirmed or {}
    results = confirmed.get("classes") or {}
    champion, baseline = (results.get(str(confirmed.get(role))) for role in ("champion", "baseline"))
    if not champion or not baseline:
        return joined(_groups(evidence), tag("p", {"class": "note"},
                      "Results of single classes are kept when a search is confirmed; this run has none. "
                      "autotricks confirm adds them."))
    first = next(iter(champion["by_class"].values()))
    names = evidence.data.get("classes") or [*map(str, range(len(first)))]
    older = tag("p", {"class": "note"}, f"Champion here is {evidence.name(confirmed['champion'])}, of the confirmation "
                "that is older than the search.") if evidence.overtaken else ""
    return joined(older, _groups(evidence), _first(evidence, names, champion, baseline),
                  _every(evidence, names, champion, baseline),
                  _confusion(evidence, names, champion["confusion"]),
                  _calibration(champion["calibration"], baseline["calibration"]), _thresholds(names, champion))


def _groups(evidence: Evidence) -> Html:
    """Return every figure on test, champion against baseline."""
    confirmed = evidence.confirmed or {}
    metrics = confirmed.get("figures") or {}
    champion, baseline = (metrics.get(str(confirmed.get(role)), {}) for role in ("champion", "baseline"))
    rows = [(_described(metric_of(name, evidence.task)), formatted(champion[name], name),
             formatted(baseline.get(name), name), _change(name, champion[name], baseline.get(name)))
            for name in champion]
    head = (f"On test, mean over {repeated(confirmed)}s", "Champion", "Baseline", "Difference")
    return table(head, rows, "", (1, 2, 3)) if champion else joined()


def _described(metric: Metric) -> str:
    """Return what a figure is, and whether less of it is better."""
    about = f", {metric.about}" if metric.about else ""
    return f"{metric.words}{about}{'' if metric.maximize else ' (less is better)'}"


def _change(name: str, ours: float, theirs: float | None) -> Html:
    """Return a difference in its unit, in the color of better or worse."""
    if theirs is None:
        return Html("–")
    tone = None
    if ours != theirs:
        tone = "good" if metric_of(name).sign * (ours - theirs) > 0 else "bad"
    return tag("span", {"class": tone}, gain(ours - theirs, name), tag("small", None, " points")
               if unit(name) == "points" else "")


def _first(evidence: Evidence, names: list[str], champion: Document, baseline: Document) -> Html:
    """Return one row a class: baseline and champion, joined by a bar, in the figure that comes first."""
    figure = next(iter(champion["by_class"]))
    counts = evidence.data.get("counts", {})
    train, test = (counts.get(split) or [None] * len(names) for split in ("train", "test"))
    pairs = [(index, base["mean"], best["mean"], best["values"]) for index, (base, best) in
             enumerate(zip(*(one["by_class"][figure] for one in (baseline, champion)), strict=True)) if base and best]
    more = ""
    if len(pairs) > ROWS:
        pairs = sorted(pairs, key=lambda pair: pair[2] - pair[1])
        more = f"The {ROWS // 2} classes that lose most and the {ROWS // 2} that gain most, of {len(pairs)}."
        pairs = [*pairs[:ROWS // 2], *pairs[-(ROWS // 2):]]
    track = Track.over([0.0, 1.0], figure, 0.02)
    rows = [track.axis()]
    for index, base, best, values in pairs:
        name = joined(names[index], tag("small", None, f" {train[index]} train, {test[index]} test"))
        rows.append(row(name, [
            track.span(base, best, "gain" if best >= base else "loss"),
            *(track.dot(value, "faint", f"{names[index]}: champion, one training {value:.1%}") for value in values),
            track.dot(base, "baseline", f"{names[index]}: baseline {base:.1%}"),
            track.dot(best, "champion", f"{names[index]}: champion {best:.1%}")],
            joined(formatted(base, figure), " → ", formatted(best, figure)) if baseline is not champion
            else formatted(best, figure)))
    return tag("figure", None, tag("figcaption", None, f"{capital(words(figure))} of each class on test"),
               legend(("champion", "champion, mean"), ("faint", "champion, single trainings"),
                      ("baseline", "baseline, mean")),
               chart(rows, "pairs"), tag("p", {"class": "note"}, more) if more else "")


def _every(evidence: Evidence, names: list[str], champion: Document, baseline: Document) -> Html:
    """Return the table of all classes, however many."""
    counts = evidence.data.get("counts", {})
    taken = champion["confusion"]
    train, test = (counts.get(split) or ["–"] * len(names) for split in ("train", "test"))
    figure, *others = champion["by_class"]
    rows = [(names[index], str(train[index]), str(test[index]), _spread(best, figure), _spread(base, figure),
             gain(best["mean"] - base["mean"], figure) if best and base else "–",
             *(_spread(champion["by_class"][name][index], name) for name in others),
             *([formatted(_precision(taken, index), "recall")] if taken else []))
            for index, (base, best) in enumerate(zip(*(one["by_class"][figure] for one in (baseline, champion)),
                                                     strict=True))]
    more = [*(f"Champion's {words(name)}" for name in others), *(["Champion's precision"] if taken else [])]
    head = ("Class", f"Training {evidence.counted}", f"Test {evidence.counted}", f"Champion's {words(figure)}",
            f"Baseline's {words(figure)}", "Points gained", *more)
    return tag("details", None, tag("summary", None, f"All {len(rows)} classes in figures"),
               table(head, rows, "", range(1, len(head))))


def _spread(values: Document | None, figure: str) -> Html:
    """Return mean and, where there are several seeds, standard deviation."""
    if not values:
        return joined("–")
    deviation = values.get("deviation")
    return joined(formatted(values["mean"], figure), tag("small", None, f" ± {deviation:.1%}")
                  if is_figure(deviation) else "")


def _precision(counts: list[list[int]], index: int) -> float | None:
    """Return how often a class that was named was right; None where it was never named."""
    named = sum(line[index] for line in counts)
    return counts[index][index] / named if named else None


def _confusion(evidence: Evidence, classes: list[str], counts: list[list[int]] | None) -> Html:
    """Return the champion's confusion matrix where it can be read, and its most frequent mistakes."""
    if not counts:
        return joined()
    names = confused(classes, counts)
    trainings = f"over {over(evidence.confirmed or {})}"
    rows = [(names[true], names[taken], str(count), share_of(counts, classes, true, taken) or "–")
            for count, true, taken in mistakes(counts)]
    listed = tag("div", None, tag("h3", None, f"Most frequent mistakes, {trainings}"), table(
        ("Class", "Taken for", "Times", "Share of the class"), rows, "", (2, 3)) if rows
        else tag("p", None, "None on test."))
    matrix = _matrix(names, counts, f"{evidence.counted} {trainings}") if len(classes) <= MATRIX else ""
    return tag("div", {"class": "panels two"}, matrix, listed)


def confused(classes: list[str], counts: list[list[int]]) -> list[str]:
    """Return what the rows of a confusion matrix are: the classes, and of objects the background too."""
    return [*classes, BACKGROUND] if len(counts) > len(classes) else classes


def share_of(counts: list[list[int]], classes: list[str], true: int, taken: int) -> str:
    """Return the share of a class that is taken for another; empty for the background, of which there is no whole."""
    return f"{counts[true][taken] / sum(counts[true]):.0%}" if true < len(classes) else ""


def mistakes(counts: list[list[int]]) -> list[tuple[int, int, int]]:
    """Return the most frequent as (times, true class, class that it was taken for)."""
    return sorted(((count, true, taken) for true, line in enumerate(counts) for taken, count in enumerate(line)
                   if true != taken and count), reverse=True)[:MISTAKES]


def _matrix(names: list[str], counts: list[list[int]], what: str) -> Html:
    """Return the matrix as a table whose cells are shaded by their share of the class."""
    def cell(true: int, taken: int) -> Html:
        count = counts[true][taken]
        fraction = counts[true][taken] / (sum(counts[true]) or 1)
        style = f"--share:{fraction:.3f}" if count else None
        return tag("td", {"class": ("right" if true == taken else "wrong") + (" deep" if fraction > 0.55 else ""),
                          "style": style,
                          "data-tip": f"{names[true]} taken for {names[taken]}: {count} ({fraction:.0%})"},
                   str(count) if count else "")
    indices: list[Any] = list(range(len(names)))
    return tag("figure", None, tag("figcaption", None, "Champion: true class (rows) by prediction "
                                   f"(columns), test {what}"), tag(
        "div", {"class": "scroll"}, tag("table", {"class": "matrix"}, tag("tr", None, tag("th", None), [
            tag("th", {"title": names[index]}, names[index][:6]) for index in indices]), [
            tag("tr", None, tag("th", {"title": names[true]}, names[true][:14]), [cell(true, taken)
                                                                                 for taken in indices])
            for true in indices])))


def _calibration(champion: Document | None, baseline: Document | None) -> Html:
    """Return how far stated confidence and accuracy are apart, with and without temperature scaling."""
    if not champion or not baseline:
        return joined()
    error = "calibration_error"
    return joined(tag("h3", None, "Is its confidence to be believed?"), table(
        ("Expected calibration error on test", "As it is", "With temperature scaling", "Temperature"),
        [(name, formatted(one["error"], error), formatted(one["scaled_error"], error), f"{one['temperature']:.2f}")
         for name, one in (("Champion", champion), ("Baseline", baseline))], "", (1, 2, 3)),
        tag("p", {"class": "note"}, "The temperature is fitted on validation for each training and divides the logits; "
            "it changes no prediction. Below 1 the model is too timid, above 1 too sure. ", tag(
                "a", {"href": "https://arxiv.org/abs/1706.04599"}, "Guo et al. 2017")))


def _thresholds(names: list[str], champion: Document) -> Html:
    """Return from which probability on each class is named."""
    if not champion["thresholds"]:
        return joined()
    rows = [(name, f"{value:.3f}") for name, value in zip(names, champion["thresholds"], strict=True)]
    return tag("details", None, tag("summary", None, "Thresholds: from which probability on a class is named"),
               table(("Class", "Champion's threshold, fitted on validation, mean of trainings"), rows, "", (1,)))

"""What each trick brought: forest plots of real trainings, and beside them what a surrogate makes of the search."""
from __future__ import annotations

from ..runs.evidence import Document, Evidence, is_figure
from .html import Html, capital, formatted, gain, joined, tag, unit, words
from .plot import Scale
from .rows import Track, chart, row

KINDS = {"without": "Champion, minus champion without the trick",
         "alone": "Baseline with the trick alone, minus baseline",
         "pair": "Two together: what the one brings beside the other, minus what it brings without it"}
TOP = 10        # weights of the surrogate


def ablation(evidence: Evidence) -> Html:
    """Return the effect of each trick with and without the others, on one scale, and what to know about it."""
    rows = [line for line in evidence.ablation if is_figure(line.get("mean"))]
    ends = [line[key] for line in rows for key in ("low", "mean", "high") if is_figure(line.get(key))]
    track = Track.over([0.0, *ends], evidence.metric)
    forests = [_forest([line for line in rows if line.get("kind", "without") == kind], title, track)
               for kind, title in KINDS.items()]
    return joined(_basis(evidence), *forests, _notes(evidence), _importance(evidence))


def _basis(evidence: Evidence) -> Html:
    """Return what the effects rest on, and whether they are those of another champion."""
    ablated = evidence.ablated
    parts = []
    if ablated.get("seeds") and ablated.get("champion"):
        joint = f"the {ablated.get('comparisons')} intervals" + (
            f", and those of {ablated['pair_comparisons']} pairs," if ablated.get("pair_comparisons") else "")
        parts.append(tag("p", {"class": "note"}, f"{capital(words(evidence.metric))} on validation over "
                         f"{len(ablated['seeds'])} fresh seeds: champion ", formatted(ablated["champion"]["mean"],
                         evidence.metric), ", baseline ", formatted(ablated["baseline"]["mean"], evidence.metric),
                         f". {joint.capitalize()} hold together with 95%: {ablated.get('method')}. More is better; "
                         "× is the time of a training with the trick over one without."))
    if evidence.best and ablated.get("trial") not in (None, evidence.best.number):
        parts.append(tag("p", None, tag("b", None, "Of an earlier champion, "), f"{evidence.name(ablated['trial'])}; "
                         "autotricks ablate does it again."))
    return joined(*parts)


def _forest(lines: list[Document], title: str, track: Track) -> Html:
    """Return one row a trick: mean and interval against zero."""
    if not lines:
        return joined()
    rows = [track.axis(True), *(_line(line, track) for line in sorted(lines, key=lambda line: -line["mean"]))]
    return tag("figure", None, tag("figcaption", None, f"{title}, {unit(track.metric)} of {words(track.metric)}"
                                   if unit(track.metric) == "points" else title), chart(rows, "far"))


def _line(line: Document, track: Track) -> Html:
    mean = line["mean"]
    low = line.get("low")
    high = line.get("high")
    known = (float(low), float(high)) if is_figure(low) and is_figure(high) else None
    tone = "good" if mean > 0 else "bad"
    if not known or known[0] <= 0 <= known[1]:
        tone = "open"
    ratio = line.get("seconds_ratio")
    cost = tag("small", {"title": "time of a training with the trick over one without"}, " ×", tag(
        "data", {"value": ratio}, f"{ratio:.2f}")) if is_figure(ratio) else ""
    value = joined(gain(mean, track.metric), tag("small", None, " [", gain(low, track.metric), ", ",
                   gain(high, track.metric), "]") if known else "")
    return row(joined(line["trick"], cost), [
        track.rule(0.0), track.span(*known, f"ci {tone}") if known else "",
        track.dot(mean, tone, f"{line['trick']}: {mean:+.4f}" + (f" [{low:+.4f}, {high:+.4f}]" if known else ""))],
        value)


def _notes(evidence: Evidence) -> Html:
    """Return what had to change along with a trick, and which comparisons could not be made."""
    words_of = {"without": "taken out", "alone": "alone", "pair": "together"}
    items = [tag("li", None, tag("b", None, line["trick"]), f", {words_of.get(line.get('kind', ''), 'compared')}: "
                 f"{line['note']}.") for line in evidence.ablation if line.get("note")]
    return tag("ul", {"class": "note"}, items) if items else joined()


def _importance(evidence: Evidence) -> Html:
    """Return the surrogate's weights as bars, named as what they are."""
    importance = evidence.ablated.get("importance") or {}
    weights = [one for one in importance.get("weights") or () if is_figure(one.get("share"))][:TOP]
    if not weights:
        return joined()
    track = Track(Scale(0, max(one["share"] for one in weights) or 1, 0, 100), "share")
    rows = [row(one["name"], [track.span(0, one["share"], "bar faint")], joined(
        tag("data", {"value": one["share"]}, f"{one['share']:.0%}"),
        tag("small", None, f" {one['trials']} trial{'s' * (one['trials'] != 1)}")))
        for one in weights]
    return tag("figure", None, tag("figcaption", None, f"Importance by {importance.get('method')}: no effect measured"),
               tag("p", {"class": "note"}, f"For comparison, {importance.get('meaning')}."), chart(rows, "pairs"))

"""In short: what was found and what follows from it, for a reader who stops after the first screen."""
from __future__ import annotations

from collections.abc import Iterator

from ..runs.evidence import Document, Evidence, is_figure
from .html import Html, breakable, gain, joined, tag, unit

NAMED = 4       # tricks whose effect is named
SPLITS = {"train": "training", "validation": "validation", "test": "test"}


def subject(evidence: Evidence) -> Html:
    """Return in one line what was searched, on which data."""
    model = evidence.space.get("model", {}).get("name", "")
    facts = evidence.data
    counts = evidence.images
    if not facts:
        return joined()
    source = str(facts.get("source", ""))
    images = (f"{counts[name]:,} {word} images" for name, word in SPLITS.items() if name in counts)
    parts = [f"{model} on {source}" if model else source, f"{len(facts.get('classes', ()))} classes", *images,
             f"{len(evidence.trials):,} trial{'s' * (len(evidence.trials) != 1)}"]
    return tag("p", {"class": "note"}, " · ".join(parts))


def short(evidence: Evidence) -> Html:
    """Return what the champion is, what it owes to which trick, and what to do."""
    rows = [(name, text) for name, text in (("Champion", _bundle(evidence)), ("What brings it", _owed(evidence)),
                                            ("What follows", _advice(evidence))) if text]
    return tag("dl", {"class": "brief"}, [joined(tag("dt", None, name), tag("dd", None, text)) for name, text in rows]
               ) if rows else joined()


def _bundle(evidence: Evidence) -> Html:
    """Return the champion as what it has beside the baseline."""
    document = evidence.champion or (evidence.best.bundle if evidence.best else None)
    if not document:
        return joined()
    before = evidence.baseline.bundle["tricks"] if evidence.baseline else {}
    names = document["tricks"]
    new = [name for name in names if name not in before]
    other = [name for name in names if name in before and names[name] != before[name]]
    gone = [name for name in before if name not in names]
    if not (new or other or gone):
        return joined("The baseline itself: ", _listed([*names]))
    parts = [joined(_listed(new), " beside the baseline's ", _listed([name for name in names if name in before]))
             if new else _listed([*names])]
    parts += [joined(_listed(other), " with other values")] if other else []
    parts += [joined("without ", _listed(gone))] if gone else []
    return _apart(parts)


def _owed(evidence: Evidence) -> Html:
    """Return which tricks of the champion were shown to help or to harm; nothing without an ablation of it."""
    rows = [line for line in evidence.ablation
            if line.get("kind", "without") == "without" and is_figure(line.get("mean"))]
    if not rows or not evidence.best or evidence.ablated.get("trial") not in (None, evidence.best.number):
        return joined()
    helps = [line for line in rows if is_figure(line.get("low")) and line["low"] > 0]
    harms = [line for line in rows if is_figure(line.get("high")) and line["high"] < 0]
    rest = [line["trick"] for line in rows if line not in helps and line not in harms]
    parts = [*_effects(helps, "helps", evidence), *_effects(harms, "harms", evidence)]
    parts += [joined("no effect was shown of ", _listed(rest))] if rest else []
    return joined("On validation, ", _apart(parts), ".")


def _effects(lines: list[Document], word: str, evidence: Evidence) -> Iterator[Html]:
    strongest = sorted(lines, key=lambda line: -abs(line["mean"]))[:NAMED]
    for line in strongest:
        yield joined(tag("b", None, breakable(line["trick"])), f" {word} by ", gain(line["mean"], evidence.metric),
                     f" {unit(evidence.metric)}")
    if lines[NAMED:]:
        yield joined(f"{len(lines) - NAMED} more {word[:-1]}")


def _advice(evidence: Evidence) -> Html:
    """Return what to do; nothing where nothing was confirmed, which the verdict says already."""
    confirmed = evidence.confirmed
    if not confirmed or evidence.overtaken:
        return joined()
    if confirmed["verdict"].startswith("better"):
        more = joined() if evidence.ablation else joined("; what each of its tricks brings says ", tag(
            "code", None, f"autotricks ablate {evidence.typed()}"))
        return joined("Train the champion for production: ", tag(
            "code", None, f"autotricks train {evidence.typed('champion.yaml')} --all-data"), more)
    if confirmed["verdict"].startswith("worse"):
        return joined("Keep the baseline; what was best on validation is not so on test")
    return joined("Keep the baseline: nothing was shown to beat it. A longer search, longer training or more images "
                  "may find what does")


def _apart(parts: list[Html]) -> Html:
    return joined(*(joined("; " if index else "", part) for index, part in enumerate(parts)))


def _listed(names: list[str]) -> Html:
    """Return names in a sentence."""
    parts = (name.partition(": ") for name in names)
    words = [breakable(f"{name} ({what})" if what else name) for name, _, what in parts]
    return joined(Html(", ".join(words[:-1])), " and " if len(words) > 1 else "", *words[-1:])

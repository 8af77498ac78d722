"""The model card: what the champion is, how good, on what data, what was not tested, and how to train it again."""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from ..errors import RunError
from ..runs.evidence import CHAMPION, Document, Evidence, gather, is_figure, over, repeated
from ..runs.folder import DATA, read_json
from ..tasks import find as find_task
from .bundle import about, begun, values_of
from .classes import confused, mistakes, share_of
from .facts import kind_of
from .html import joined, plain, words
from .verdict import ON_TEST, keeping, reservations, where

CARD = "MODEL_CARD.md"
ROLES = ("champion", "baseline")
CLASSES = 50
FILES = 10    # rows of the table of classes; bad files named
FACTS = ("source", "fingerprint", "classes", "counts", "imbalance", "duplicates")     # of data.json
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")     # a line break among them begins a heading or a list
_MARKUP = re.compile(r"[\\`*~\[\]|]|:(?=//)|(?<=www)\.|@|"     # addresses too become links by themselves
                     r"(?<![^\W_])_|_(?![^\W_])")                # and an underscore is markup but within a word
UNTESTED = ("Images of another origin than these (another camera, place, season or way of labeling), damaged or "
            "deliberately misleading ones, and images of none of the classes: {}.",
            "Groups within the data (people, places, devices): figures are over all test images and class by class.",
            "Speed and memory when it is used.")


def card(folder: Path) -> str:
    """Return the model card of a run's champion, in Markdown.

    Raises:
        RunError: When the folder holds no run, the run no champion, or its data.json is missing or damaged.
    """
    evidence = gather(folder)
    if not evidence.champion:
        raise RunError(f"{folder}: holds no {CHAMPION}; no trial of this search was trained to the end.")
    read_json(folder / DATA, *FACTS)
    champion = evidence.champion
    parts = (_model, _figures, _data, _limits, _again, _tricks)
    text = "\n\n".join("\n".join(part(evidence, champion)) for part in parts)
    return f"# Model card: {_safe(champion['name'])}, {_safe(folder.resolve().name)}\n\n{text}\n"


FITTED = {"crop": "its shorter side scaled to {} and the center cropped",
          "pad": "its longer side scaled to {} and laid on black", "squash": "squashed to {0} x {0}"}

FILLED = {"crop": "scaled to fill {} and the center cropped", "pad": "scaled to lie in {} and laid on black",
          "squash": "squashed to {}"}


def _model(evidence: Evidence, champion: Document) -> Iterator[str]:
    images = champion["images"]
    training = champion["training"]
    depth, height, width = images["shape"]
    color = {1: "gray", 3: "RGB"}.get(depth, f"{depth}-channel")
    task = find_task(evidence.task)
    yield (f"{task.makes} of {len(champion['classes'])} classes, {_safe(champion['model']['name'])}; trial "
           f"{_safe(champion['result']['trial'])} of {len(evidence.trials)}, {_safe(training['epochs'])} epochs in "
           f"batches of {_safe(training['batch_size'])}, seed {_safe(training['seed'])}.")
    yield ""
    data = champion.get("data", {})
    square = height == width
    fit = (FITTED if square else FILLED)[data.get("fit", "crop")].format(height if square else f"{width} x {height}")
    resized = (square or data.get("size")) and depth in (1, 3)
    what = f"turned upright, {fit}, made {color}" if resized else "not resized"
    yield f"- Takes: {color} images of {width} x {height} pixels, values 0 to 255. An image file is {what}."
    yield (f"- Normalizes by itself: divides by 255, less mean {_numbers(images['mean'])}, by standard deviation "
           f"{_numbers(images['std'])}.")
    if begun(champion):
        yield f"- Begins with the weights of {_safe(begun(champion))}."
    yield f"- Gives: {task.gives}."


def _figures(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Figures\n"
    confirmed = champion["result"].get("confirmed")
    if not confirmed:
        yield (f"**Not confirmed.** Search score {champion['result']['score']:.4f} ({_words(evidence.metric)} on "
               "validation, one seed), the best of what was tried and therefore too good. Test was not read.")
        return
    ours = str(confirmed["champion"])
    theirs = str(confirmed["baseline"])
    metric = _words(confirmed["metric"])
    difference = confirmed["difference"]
    tests, metrics = ({str(number): value for number, value in confirmed[name].items()} for name in ("test", "figures"))
    yield (f"Verdict: **{_safe(confirmed['verdict'])}**. On {evidence.images['test']:,} test images, by "
           f"which nothing was chosen; mean of {over(confirmed)}.\n")
    suffix = "" if where(confirmed["metric"]) == ON_TEST else f" {where(confirmed['metric'])}"
    yield from _table(("", "Champion", "Baseline"), [
        (f"**{metric}**{suffix}", _spread(tests[ours]), _spread(tests[theirs])),
        *((_words(name), f"{value:.4f}", f"{metrics[theirs][name]:.4f}") for name, value in metrics[ours].items()
          if name != confirmed["metric"]), *_scaled(evidence)])
    if champion["training"]["seed"] in confirmed["seeds"]:
        index = confirmed["seeds"].index(champion["training"]["seed"])
        fold = f"fold {index + 1} of {len(confirmed['seeds'])}, " if repeated(confirmed) == "fold" else ""
        yield (f"\nThe weights beside this card are those of {fold}seed {_safe(confirmed['seeds'][index])}: {metric} "
               f"{tests[ours]['values'][index]:.4f}.")
    if ours != theirs:
        span = (f"95% interval {difference['low']:+.4f} to {difference['high']:+.4f}" if is_figure(difference["low"])
                and is_figure(difference["high"]) else "no interval from a single seed")
        yield (f"\nDifference in {metric}, more is better: {difference['mean']:+.4f}, {span} "
               f"({_safe(confirmed['method'])}).")
    addition = confirmed.get("addition")
    if addition:
        gained = addition["difference"]
        span = ""
        if addition["start"] != confirmed["champion"]:
            span = f": {gained['mean']:+.4f} on test"
            if is_figure(gained["low"]) and is_figure(gained["high"]):
                span += f", 95% interval {gained['low']:+.4f} to {gained['high']:+.4f}"
        yield f"\nThe search: {_safe(addition['verdict'])}{span}."
    if confirmed.get("kept"):
        yield f"\n{_safe(plain(joined(*keeping(confirmed))).strip())}"


def _data(evidence: Evidence, champion: Document) -> Iterator[str]:
    facts = evidence.data
    counts = facts["counts"]
    bad = facts.get("bad", [])
    yield "## Data\n"
    yield f"- Source: {_safe(facts['source'])}, fingerprint {_safe(facts['fingerprint'])}"
    yield (f"- Training {evidence.images['train']:,} images, imbalance {facts['imbalance']:.3g}; validation "
           f"{evidence.images['validation']:,}; test {evidence.images['test']:,}")
    leaked = ", ".join(f"{_safe(count)} in {_safe(name.replace('_', ' and '))}"
                       for name, count in facts["duplicates"].items())
    yield f"- The same image in two splits: {leaked}"
    named = ", ".join([*(f"{_safe(one['path'])} ({_safe(one['reason'])})" for one in bad[:FILES]),
                       *(["..."] if bad[FILES:] else [])])
    yield f"- Files left out: {f'{len(bad)}: {named}' if bad else 'none'}\n"
    figures = [_by_class(evidence, role) for role in ROLES]
    figure = words(_figure(evidence) or "recall").capitalize()
    rows = [(_safe(name), *(f"{counts[split][index]:,}" for split in ("train", "validation", "test")),
             *(one[index] if one else "" for one in figures))
            for index, name in enumerate(facts["classes"][:CLASSES])]
    heads = [f"{split}{kind_of(evidence)}" for split in ("Train", "Validation", "Test")]
    yield from _table(("Class", *heads, f"{figure} on test", "Baseline's"), rows)
    if facts["classes"][CLASSES:]:
        yield f"\nThe first {CLASSES} of {len(facts['classes'])} classes; data.json has all."
    yield from _mistakes(evidence)


def _results(evidence: Evidence, role: str) -> Document:
    """Return what the champion or the baseline does class by class; nothing where it was not confirmed."""
    confirmed = evidence.confirmed
    return {} if not confirmed or evidence.overtaken else confirmed.get("classes", {}).get(str(confirmed[role]), {})


def _figure(evidence: Evidence) -> str | None:
    """Return the figure of each class that a reader wants first; None where the champion was not confirmed."""
    return next(iter(_results(evidence, "champion").get("by_class", {})), None)


def _by_class(evidence: Evidence, role: str) -> list[str]:
    known = _results(evidence, role).get("by_class", {}).get(_figure(evidence), ())
    return [f"{one['mean']:.3f}" if one else "" for one in known]


def _scaled(evidence: Evidence) -> list[tuple[str, ...]]:
    """Return the calibration error with temperature scaling as a row."""
    known = [_results(evidence, role).get("calibration") for role in ROLES]
    cells = [f"{one['scaled_error']:.4f} (temperature {one['temperature']:.2f})" for one in known if one]
    return [("calibration error with temperature scaling", *cells)] if all(known) else []


def _mistakes(evidence: Evidence) -> Iterator[str]:
    """Yield what the champion most often takes for what."""
    counts = _results(evidence, "champion").get("confusion")
    if counts and (frequent := mistakes(counts)):
        classes = evidence.data["classes"]
        names = confused(classes, counts)
        each = repeated(evidence.confirmed or {})
        other = "another class" if len(names) == len(classes) else "another class, or missed or made up"
        yield f"\nMost often taken for {other} on test, over all {each}s: " + ", ".join(
            f"{_safe(names[true])} for {_safe(names[taken])} "
            f"({share_of(counts, classes, true, taken) or f'{count:,} times'})"
            for count, true, taken in frequent) + "."


def _limits(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Limits\n"
    for parts in reservations(evidence):
        yield f"- {_safe(plain(joined(*parts)))}"
    yield "\nNot tested:\n"
    yield from (f"- {line.format(find_task(evidence.task).strangers)}" for line in UNTESTED)


def _again(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Train it again\n"
    yield f"    autotricks train {CHAMPION}\n"
    yield ("It names data, model, tricks, schedule and seed. The same versions on the same kind of machine repeat the "
           "weights: " + (", ".join(f"{_safe(name)} {_safe(value)}" for name, value in evidence.versions[-1].items())
                          if evidence.versions else "versions were not recorded") + ".")


def _tricks(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Tricks\n"
    for name, values in champion["tricks"].items():
        what, paper, address = about(name)
        cited = f" [{paper}]({address})" if paper else ""
        yield f"- **{_safe(name)}** ({_safe(values_of(values))}). {what}{cited}"


def _safe(value: object) -> str:
    """Return what a file says as text on one line that is neither markup nor the end of a table's cell."""
    return escape(_MARKUP.sub(r"\\\g<0>", _CONTROL.sub(" ", str(value)).strip()), quote=False)


def _words(metric: str) -> str:
    return _safe(words(metric))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _spread(spread: Document) -> str:
    deviation = f" ± {spread['deviation']:.4f}" if is_figure(spread["deviation"]) else ""
    return f"**{spread['mean']:.4f}**{deviation}"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)

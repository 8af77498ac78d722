"""The model card: what the champion is, how good, on what data, what was not tested, and how to train it again."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from ..errors import RunError
from .bundle import about, values_of
from .classes import mistakes
from .evidence import CHAMPION, Document, Evidence, gather, is_figure
from .html import joined, plain, words
from .verdict import ON_TEST, keeping, reservations, where

CARD = "MODEL_CARD.md"
ROLES = ("champion", "baseline")
CLASSES, FILES = 50, 10    # rows of the table of classes; bad files named
UNTESTED = ("Images of another origin than these (another camera, place, season or way of labeling), damaged or "
            "deliberately misleading ones, and images of none of the classes: the model always names one of its "
            "classes.",
            "Groups within the data (people, places, devices): figures are over all test images and class by class.",
            "Speed and memory when it is used.")


def card(folder: Path) -> str:
    """Return the model card of a run's champion, in Markdown.

    Raises:
        RunError: When the folder holds no run, or the run no champion.
    """
    evidence = gather(folder)
    if not evidence.champion:
        raise RunError(f"{folder}: holds no {CHAMPION}; no trial of this search was trained to the end.")
    champion, parts = evidence.champion, (_model, _figures, _data, _limits, _again, _tricks)
    text = "\n\n".join("\n".join(part(evidence, champion)) for part in parts)
    return f"# Model card: {_safe(champion['name'])}, {_safe(folder.resolve().name)}\n\n{text}\n"


def write(folder: Path, target: Path) -> Path:
    """Write the model card of a run's champion into a folder and return its path.

    Raises:
        RunError: When the folder holds no run, or the run no champion.
    """
    path = target / CARD
    path.write_text(card(folder), "utf-8")
    return path


def _model(evidence: Evidence, champion: Document) -> Iterator[str]:
    images, training = champion["images"], champion["training"]
    depth, height, width = images["shape"]
    color = {1: "gray", 3: "RGB"}.get(depth, f"{depth}-channel")
    yield (f"{champion['model']['name']}, an image classifier of {len(champion['classes'])} classes; trial "
           f"{champion['result']['trial']} of {len(evidence.trials)}, {training['epochs']} epochs in batches of "
           f"{training['batch_size']}, seed {training['seed']}.")
    yield ""
    square = (f"turned upright, its shorter side scaled to {height} and the center cropped, made {color}"
              if height == width and depth in (1, 3) else "not resized")
    yield f"- Takes: {color} images of {width} x {height} pixels, values 0 to 255. An image file is {square}."
    yield (f"- Normalizes by itself: divides by 255, less mean {_numbers(images['mean'])}, by standard deviation "
           f"{_numbers(images['std'])}.")
    yield "- Gives: a class name and the probability of every class."


def _figures(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Figures\n"
    found = champion["result"].get("confirmed")
    if not found:
        yield (f"**Not confirmed.** Search score {champion['result']['score']:.4f} ({words(evidence.metric)} on "
               "validation, one seed), the best of what was tried and therefore too good. Test was not read.")
        return
    ours, theirs = str(found["champion"]), str(found["baseline"])
    metric, difference, seeds = words(found["metric"]), found["difference"], len(found["seeds"])
    tests, figures = ({str(number): value for number, value in found[name].items()} for name in ("test", "figures"))
    yield (f"Verdict: **{found['verdict']}**. On {sum(evidence.data['counts']['test']):,} test images, by which "
           f"nothing was chosen; mean of {seeds} fresh seed{'s' * (seeds > 1)}.\n")
    place = "" if where(found["metric"]) == ON_TEST else f" {where(found['metric'])}"
    yield from _table(("", "Champion", "Baseline"), [
        (f"**{metric}**{place}", _spread(tests[ours]), _spread(tests[theirs])),
        *((words(name), f"{value:.4f}", f"{figures[theirs][name]:.4f}") for name, value in figures[ours].items()
          if name != found["metric"]), *_scaled(evidence)])
    if champion["training"]["seed"] in found["seeds"]:
        place = found["seeds"].index(champion["training"]["seed"])
        yield (f"\nThe weights beside this card are those of seed {found['seeds'][place]}: {metric} "
               f"{tests[ours]['values'][place]:.4f}.")
    if ours != theirs:
        span = (f"95% interval {difference['low']:+.4f} to {difference['high']:+.4f}" if is_figure(difference["low"])
                and is_figure(difference["high"]) else "no interval from a single seed")
        yield f"\nDifference in {metric}, more is better: {difference['mean']:+.4f}, {span} ({found['method']})."
    if found.get("kept"):
        yield f"\n{plain(joined(*keeping(found))).strip()}"


def _data(evidence: Evidence, champion: Document) -> Iterator[str]:
    facts = evidence.data
    counts, bad = facts["counts"], facts.get("bad", [])
    yield "## Data\n"
    yield f"- Source: {_safe(facts['source'])}, fingerprint `{facts['fingerprint']}`"
    yield (f"- Training {sum(counts['train']):,} images, imbalance {facts['imbalance']:.3g}; validation "
           f"{sum(counts['validation']):,}; test {sum(counts['test']):,}")
    leaked = ", ".join(f"{count} in {name.replace('_', ' and ')}" for name, count in facts["duplicates"].items())
    yield f"- The same image in two splits: {leaked}"
    named = ", ".join([*(f"{_safe(one['path'])} ({_safe(one['reason'])})" for one in bad[:FILES]),
                       *(["..."] if bad[FILES:] else [])])
    yield f"- Files left out: {f'{len(bad)}: {named}' if bad else 'none'}\n"
    recalls = [_recall(evidence, role) for role in ROLES]
    rows = [(_safe(name), *(f"{counts[split][place]:,}" for split in ("train", "validation", "test")),
             *(recall[place] if recall else "" for recall in recalls))
            for place, name in enumerate(facts["classes"][:CLASSES])]
    yield from _table(("Class", "Train", "Validation", "Test", "Recall on test", "Baseline's recall"), rows)
    if facts["classes"][CLASSES:]:
        yield f"\nThe first {CLASSES} of {len(facts['classes'])} classes; data.json has all."
    yield from _mistakes(evidence)


def _results(evidence: Evidence, role: str) -> Document:
    """Return what the champion or the baseline does class by class; nothing where it was not confirmed."""
    found = evidence.confirmed
    return {} if not found or evidence.overtaken else found.get("classes", {}).get(str(found[role]), {})


def _recall(evidence: Evidence, role: str) -> list[str]:
    return [f"{one['mean']:.3f}" if one else "" for one in _results(evidence, role).get("recall", ())]


def _scaled(evidence: Evidence) -> list[tuple[str, ...]]:
    """Return the calibration error with temperature scaling as a row."""
    known = [_results(evidence, role) for role in ROLES]
    cells = [f"{one['calibrated_error']:.4f} (temperature {one['temperature']:.2f})" for one in known if one]
    return [("calibration error with temperature scaling", *cells)] if all(known) else []


def _mistakes(evidence: Evidence) -> Iterator[str]:
    """Yield what the champion most often takes for what."""
    counts, names = _results(evidence, "champion").get("confusion"), evidence.data["classes"]
    if counts and (found := mistakes(counts)):
        yield "\nMost often taken for another class on test, over all seeds: " + ", ".join(
            f"{_safe(names[true])} for {_safe(names[taken])} ({count / sum(counts[true]):.0%})"
            for count, true, taken in found) + "."


def _limits(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Limits\n"
    for parts in reservations(evidence):
        yield f"- {_safe(plain(joined(*parts)))}"
    yield "\nNot tested:\n"
    yield from (f"- {line}" for line in UNTESTED)


def _again(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Train it again\n"
    yield f"    autotricks train {CHAMPION}\n"
    yield ("It names data, model, tricks, schedule and seed. The same versions on the same kind of machine repeat the "
           "weights: " + (", ".join(f"{name} {value}" for name, value in evidence.versions[-1].items())
                          if evidence.versions else "versions were not recorded") + ".")


def _tricks(evidence: Evidence, champion: Document) -> Iterator[str]:
    yield "## Tricks\n"
    for name, values in champion["tricks"].items():
        what, paper, address = about(name)
        cited = f" [{paper}]({address})" if paper else ""
        yield f"- **{name}** ({values_of(values)}). {what}{cited}"


def _safe(text: str) -> str:
    """Return text that is neither markup nor the end of a table's cell."""
    return escape(text, quote=False).replace("|", "\\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _spread(found: Document) -> str:
    deviation = f" ± {found['deviation']:.4f}" if is_figure(found["deviation"]) else ""
    return f"**{found['mean']:.4f}**{deviation}"


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)

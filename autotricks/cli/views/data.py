"""What a person sees of a data set before training: autotricks data check."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...data import Settings, survey, understood
from ...space.recommendation import Suited, command, compare
from .search import to_json

BAR = 50
NAME = 24
CLASSES = 40
FILES = 10
REASONS = 5
EXAMPLES = 3
Facts = Mapping[str, Any]


def check(settings: Settings, overrides: Sequence[str], trust: bool, as_json: bool) -> bool:
    """Print what a source holds, what is wrong with it, and which space fits; return whether training would take it.

    Args:
        settings: Of the source.
        overrides: `data.key=value` that they were made with, for the next command.
        trust: Whether a source of the form `my.module:function` may be imported.
        as_json: For machines.

    Raises:
        DataError: When the source is none, or is missing.
    """
    facts = survey(settings, trust)
    spaces = compare(facts)
    following = command(facts, spaces[0], overrides) if facts["usable"] and spaces else None
    if as_json:
        to_json({**facts, "spaces": [asdict(one) for one in spaces], "next": following})
    else:
        print("\n".join([*_summary(facts), *_spaces(facts, spaces, following)]))
    return bool(facts["usable"])


def _summary(facts: Facts) -> Iterator[str]:
    splits = ", ".join(f"{name} {count:,}" for name, count in facts["split_images"].items())
    yield f"{facts['source']}: {len(facts['classes'])} classes, {facts['images']:,} images: {splits or 'none'}"
    yield from understood({**facts, "bad": (), "skipped": ()})      # which are listed below
    if facts["images"]:
        yield from _forms(facts)
        yield from _histogram(facts)
    yield from _files("Bad files, left out", facts["bad"], len(facts["bad"]) + facts["images"])
    yield from _files("Not used", facts["skipped"], 0)
    yield from _equal(facts["duplicates"])
    yield from _alike(facts["alike"])


def _forms(facts: Facts) -> Iterator[str]:
    sizes = facts["sizes"]
    smallest, median, largest = ("x".join(map(str, sizes[name])) for name in ("smallest", "median", "largest"))
    yield "Sizes:   " + (smallest if sizes["distinct"] == 1 else
                         f"{smallest} to {largest}, median {median}, {sizes['distinct']:,} different")
    yield f"Formats: {_tally(facts['formats'])}; modes {_tally(facts['modes'])}"
    if facts["frames"]:
        yield f"Animated or of several pages: {facts['frames']:,}; the first frame is used."


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _histogram(facts: Facts) -> Iterator[str]:
    counts = facts["counts"].get("train", [])
    if not any(counts):
        return
    yield f"\nTraining images of each class, imbalance (largest / smallest) {facts['imbalance']:.3g}:"
    order = sorted(range(len(counts)), key=lambda index: -counts[index])
    width = min(NAME, max(map(len, facts["classes"])))
    listed = order if len(order) <= CLASSES else [*order[:CLASSES // 2], None, *order[-CLASSES // 2:]]
    for index in listed:
        if index is None:
            yield f"  ... {len(order) - CLASSES} classes between"
        else:
            bar = "#" * max(counts[index] > 0, round(BAR * counts[index] / max(counts)))
            yield f"  {facts['classes'][index][:width]:<{width}} {counts[index]:7,} {bar}"


def _files(title: str, files: Sequence[Mapping[str, str]], total: int) -> Iterator[str]:
    if not files:
        return
    percentage = f" ({len(files) / total:.2%} of {total:,})" if total else ""
    yield f"\n{title}: {len(files):,}{percentage}"
    if len(files) > FILES:
        reasons = Counter(one["reason"] for one in files).most_common(REASONS)
        yield from (f"  {count:7,} {reason}" for reason, count in reasons)
    yield from (f"  {one['path']}: {one['reason']}" for one in files[:FILES])
    if len(files) > FILES:
        yield f"  and {len(files) - FILES:,} more; --json lists all"


def _equal(duplicates: Facts) -> Iterator[str]:
    if not duplicates["groups"]:
        yield "\nEqual images: none"
        return
    yield f"\nEqual images: copies {duplicates['copies']:,}, groups {duplicates['groups']:,}"
    yield from _across(duplicates["across"], "equal images")
    if duplicates["across"]:
        yield "  --set data.duplicates=drop takes them out of the split that is read first"
    yield from _examples(duplicates["examples"], "=")


def _alike(look_alikes: Facts | None) -> Iterator[str]:
    if look_alikes is None:
        yield "Look-alikes:  not looked for in images as small as these"
        return
    part = "" if look_alikes["complete"] else " at least"
    yield (f"Look-alikes:  pairs{part} {look_alikes['pairs']:,}, among {look_alikes['looked']:,} images"
           if look_alikes["pairs"] else "Look-alikes:  none")
    yield from _across(look_alikes["across"], "look-alikes")
    if look_alikes["two_labels"]:
        yield f"  pairs that bear two labels: {look_alikes['two_labels']:,}"
    yield from _examples(look_alikes["examples"], "~")


def _across(counts: Mapping[str, int], what: str) -> Iterator[str]:
    for pair, count in counts.items():
        first, second = pair.split("_")
        yield f"  {second} images with {what} in {first}: {count:,}; figures on {second} flatter"


def _examples(groups: Sequence[Sequence[Sequence[str]]], sign: str) -> Iterator[str]:
    for group in groups[:EXAMPLES]:
        named = len({label for _, label in group}) > 1
        yield "  e.g. " + f" {sign} ".join(f"{name} ({label})" if named else name for name, label in group[:4])


def _spaces(facts: Facts, spaces: Sequence[Suited], following: str | None) -> Iterator[str]:
    if facts["problems"]:
        yield "\nTraining refuses these data:"
        yield from (f"  {line}" for line in facts["problems"])
        return
    fitting = [one for one in spaces if one.fits]
    yield "\nSpaces that fit:" if fitting else "\nNo space that ships is made for such data; the nearest first:"
    yield from (f"  {one.space}: {'; '.join(one.why)}" for one in fitting or spaces)
    yield f"Next: {following or 'autotricks check SPACE'}"

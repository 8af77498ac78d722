"""What a person sees of a data set before training: autotricks data check."""
from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...data import Settings, facts_of, looked, seen_by_model, understood, understood_as
from ...data.notices import joined
from ...data.survey import Seen
from ...errors import InputError
from ...io.files import ensure_folder, write_atomic
from ...space.recommendation import Suited, command, compare, init_command
from .search import to_json

BAR = 50
NAME = 24
CLASSES = 40
FILES = 10
REASONS = 5
EXAMPLES = 3
SIZES = {"tiny": "below 8 x 8", "small": "small, below 32 x 32", "medium": "medium", "large": "large, above 96 x 96"}
QUANTILES = {"sides": "root of the area, pixels", "shapes": "width / height", "crowd": "objects an image"}
Facts = Mapping[str, Any]


def check(settings: Settings, overrides: Sequence[str], trust: bool, as_json: bool, draw: Path | None = None) -> bool:
    """Print what a source holds, what is wrong with it, and which space fits; return whether training would take it.

    Args:
        settings: Of the source.
        overrides: `data.key=value` that they were made with, for the next command.
        trust: Whether a source of the form `my.module:function` may be imported.
        as_json: For machines.
        draw: A file for some of the images, with their boxes or labels; .png or .jpg.

    Raises:
        DataError: When the source is none, or is missing.
        InputError: When the file cannot be written.
    """
    write = _sheet_writer(draw) if draw else None
    settings = settings if _says_task(overrides) else understood_as(settings, trust)
    seen = looked(settings, trust)
    facts = facts_of(seen, settings)
    if write:
        write(seen, seen_by_model(settings, facts))
    spaces = compare(facts)
    usable = facts["usable"] and spaces
    more = ["--trust"] * trust
    following = command(facts, spaces[0], overrides, more) if usable else None
    proposal = init_command(facts, overrides, more) if usable else None
    if as_json:
        to_json({**facts, "spaces": [asdict(one) for one in spaces], "init": proposal, "next": following,
                 "drawn": draw})
    else:
        print("\n".join([*_summary(facts), *_pictures(facts, draw), *_spaces(facts, spaces),
                         *_following(proposal, following)]))
    return bool(facts["usable"])


def _says_task(overrides: Sequence[str]) -> bool:
    return any(text.startswith("data.task=") for text in overrides)


def _sheet_writer(path: Path) -> Callable[[Seen, Settings], None]:
    """Return what writes a contact sheet to a file, once it is sure that there can be one.

    Raises:
        InputError: When its name is none of an image file, or nobody can write there.
    """
    kinds = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"--draw {path}: the name must end in {', '.join(kinds)}.")
    ensure_folder(path.parent)

    def written(seen: Seen, settings: Settings) -> None:
        from ...data.contact_sheet import contact_sheet

        store = io.BytesIO()
        contact_sheet(seen, settings).save(store, kind)
        write_atomic(path, store.getvalue())
    return written


def _summary(facts: Facts) -> Iterator[str]:
    splits = ", ".join(f"{name} {count:,}" for name, count in facts["split_images"].items())
    yield f"{facts['source']}: {len(facts['classes'])} classes, {facts['images']:,} images: {splits or 'none'}"
    yield from understood({**facts, "bad": (), "skipped": ()})      # which are listed below
    if facts["images"]:
        yield from _forms(facts)
        yield from _histogram(facts)
    if facts["objects"]:
        yield from _boxes(facts["objects"])
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
    what = "objects" if facts["objects"] else "images"
    others = [split for split in facts["counts"] if split != "train"] if facts["objects"] else []
    beside = f", beside {joined(others)}" if others else ""
    yield f"\nTraining {what} of each class{beside}, imbalance (largest / smallest) {facts['imbalance']:.3g}:"
    order = sorted(range(len(counts)), key=lambda index: -counts[index])
    width = min(NAME, max(map(len, facts["classes"])))
    listed = order if len(order) <= CLASSES else [*order[:CLASSES // 2], None, *order[-CLASSES // 2:]]
    for index in listed:
        if index is None:
            yield f"  ... {len(order) - CLASSES} classes between"
        else:
            bar = "#" * max(counts[index] > 0, round(BAR * counts[index] / max(counts)))
            more = "".join(f" {facts['counts'][split][index]:7,}" for split in others)
            yield f"  {facts['classes'][index][:width]:<{width}} {counts[index]:7,}{more} {bar}"


def _boxes(boxes: Facts) -> Iterator[str]:
    """Yield what the objects are like, as a model sees them."""
    if not boxes["count"]:
        yield "\nObjects: none"
        return
    side = boxes["side"]
    height, width = (side, side) if isinstance(side, int) else side or (0, 0)
    size = f"at {width}x{height} pixels (data.fit: {boxes['fit']})" if side else "in images of their own size"
    yield f"\nObjects, as the model sees them, {size}: {boxes['count']:,}"
    wide = max(map(len, boxes["sizes"]))
    yield f"  {'':<24}" + "".join(f" {split:>{max(wide, 8)}}" for split in boxes["sizes"])
    for name, words in SIZES.items():
        shares = [sizes[name] / max(1, sizes["small"] + sizes["medium"] + sizes["large"])
                  for sizes in boxes["sizes"].values()]
        yield f"  {words:<24}" + "".join(f" {share:>{max(wide, 8)}.1%}" for share in shares)
    yield (f"  {'images without objects':<24}"
           + "".join(f" {count:>{max(wide, 8)},}" for count in boxes["empty"].values()))
    yield f"  {'quantiles':<24} {'least':>7} {'5%':>7} {'25%':>7} {'50%':>7} {'75%':>7} {'95%':>7} {'most':>7}"
    for name, words in QUANTILES.items():
        yield f"  {words:<24}" + "".join(f" {value:7.3g}" for value in boxes[name])
    yield f"  hidden: {boxes['hidden']:.1%} lie by more than one half in another box"
    yield f"  to be ignored: {boxes['ignored']:,}"
    anchors = ", ".join(f"{wide:.0f}x{high:.0f}" for wide, high in boxes["anchors"]["sizes"])
    if anchors:
        yield (f"  anchors by k-means with 1 - IoU: {anchors}; the mean IoU of a box with the nearest is "
               f"{boxes['anchors']['overlap']:.2f}")


def _pictures(facts: Facts, draw: Path | None) -> Iterator[str]:
    if draw:
        yield f"\nPictures, as the model sees them: {draw}"
    elif facts["objects"]:
        yield "\nPictures with their boxes: --draw FILE.png writes some"


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


def _spaces(facts: Facts, spaces: Sequence[Suited]) -> Iterator[str]:
    if facts["problems"]:
        yield "\nTraining refuses these data:"
        yield from (f"  {line}" for line in facts["problems"])
        return
    fitting = [one for one in spaces if one.fits]
    yield "\nSpaces that fit:" if fitting else "\nNo space that ships is made for such data; the nearest first:"
    yield from (f"  {one.space}: {'; '.join(one.why)}" for one in fitting or spaces)


def _following(proposal: str | None, following: str | None) -> Iterator[str]:
    """Yield the command that writes a space for these data, and the one that searches a space as it ships."""
    if proposal and following:
        yield f"Next: {proposal}"
        yield f"or:   {following}"

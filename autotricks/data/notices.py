"""Notices: what is worth knowing of a data set before anything is trained on it, a line each."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .glance import Glance

MOST = 5            # names that are listed
SHOWN = 2           # files
CUT = 0.005         # share of the area from which what is cut off is worth a line


@dataclass(frozen=True)
class Found:
    """What `load` or `survey` found.

    Args:
        classes: Names.
        counts: Images of each class by split.
        said: Notices of the source.
        rare: Classes with too few images to be in every split that is cut.
        dropped: Whether these were left out.
        glance: What the files are that were looked at.
        two_labels: Images that bear, pixel for pixel, more than one label.
        unlabeled: Images without a label, where an image may have none.
    """

    classes: Sequence[str]
    counts: Mapping[str, Sequence[int]]
    said: Sequence[str] = ()
    rare: Sequence[str] = ()
    dropped: bool = False
    glance: Glance | None = None
    two_labels: int = 0
    unlabeled: int = 0


def notices(found: Found) -> list[str]:
    """Return what is worth knowing, a line each."""
    return [*found.said, *_classes(found), *_images(found)]


def understood(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was understood and what is worth knowing, from the facts of `load` or `survey`, a line each."""
    by_origin: dict[str, list[str]] = {}
    for split, words in facts["origin"].items():
        by_origin.setdefault(words if words.startswith("cut ") else f"from {words}", []).append(split)
    if by_origin:
        yield "splits: " + "; ".join(f"{joined(names)} {words}" for words, names in by_origin.items())
    for what, files in (("left out, bad", facts["bad"]), ("not used", facts["skipped"])):
        if files:
            few = listed([f"{one['path']} ({one['reason']})" for one in files], SHOWN, "; ")
            yield f"{what}: {few}"
    yield from facts["notices"]


def joined(names: Sequence[str]) -> str:
    """Return names as a sentence has them: `train, validation and test`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def listed(names: Sequence[str], most: int = MOST, between: str = ", ") -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def _classes(found: Found) -> Iterator[str]:
    if found.rare and found.dropped:
        yield f"left out, with too few images to be split: {listed(found.rare)} (data.rare: drop)"
    elif found.rare:
        yield (f"too few images to be split, all of them in train: {listed(found.rare)}; data.rare: drop leaves such "
               "classes out")
    for split, counts in found.counts.items():
        absent = [name for name, count in zip(found.classes, counts) if not count and name not in found.rare]
        if absent and split != "train" and any(counts):
            yield f"{split} has no image of {listed(absent)}; figures on {split} are over the other classes"


def _images(found: Found) -> Iterator[str]:
    seen = found.glance
    if seen and seen.cut >= CUT:
        yield (f"data.fit: crop cuts {seen.cut:.0%} off the images on average, by {seen.looked:,} of them; pad or "
               "squash keeps all of them")
    if seen and seen.dim:
        yield (f"nearly black: {seen.dim:,} of {seen.looked:,} images that were looked at use less than a sixteenth of "
               "their 16 bits, which become 8 by dividing by 257. Scale them first")
    if found.unlabeled:
        yield f"without a label: {found.unlabeled:,} images, which show that none of the classes is there"
    if found.two_labels:
        yield (f"{found.two_labels:,} images bear, pixel for pixel, more than one label; at most one of them is "
               "right")

"""Look at every image of a source before anything is trained: what is there, what is wrong, what training refuses."""
from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch

from ..core.images import Images
from ..core.traits import DataTrait
from ..errors import DataError
from ..tasks import TASKS, find as find_task
from . import decode, look, objects, sources
from .decode import Bad, printable
from .duplicates import alike, contradictions, equal
from .glance import seen as glanced
from .labels import encode, ordered
from .load import CUT, origin
from .look import Look, Shape
from .notices import Found, notices
from .objects import Objects
from .rare import few
from .settings import Settings
from .splits import require

SPLITS = ("train", "validation", "test")
SIZES = (224, 192, 160, 128, 96, 64, 48, 32, 28)    # offered for `data.size`: the largest that half the images have
NAMED = 20                                          # groups and pairs that are listed by name
TINY = 12                                           # pixels; below, images that differ look alike
CHUNK = 512


@dataclass(frozen=True)
class Row:
    """One image that can be used.

    Args:
        name: What to call it.
        labels: Names of its labels.
        split: Its split.
        look: What it is.
        read: Reads it again: uint8 [D, H, W], as it is in the source.
        objects: Where its labels have boxes, in pixels of the image as it is in the source.
    """

    name: str
    labels: tuple[str, ...]
    split: str
    look: Look
    read: Callable[[], np.ndarray]
    objects: Objects | None = None

    @property
    def counted(self) -> tuple[str, ...]:
        """The labels without those of objects that are to be ignored."""
        flags = self.objects.ignored if self.objects else ()
        return tuple(name for name, flag in zip(self.labels, flags, strict=True) if not flag) if flags else self.labels

    @property
    def label(self) -> str:
        """The labels in words, those of objects once each."""
        return " | ".join(self.kinds) or "no label"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The labels; those of objects once each, however many there are."""
        return self.labels if self.objects is None else tuple(sorted(set(self.labels)))


@dataclass(frozen=True)
class Seen:
    """Everything that was found in a source."""

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    bad: tuple[Bad, ...] = ()
    skipped: tuple[Bad, ...] = ()
    notices: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def boxed(self) -> bool:
        """Whether labels have boxes."""
        return any(row.objects is not None for row in self.rows)

    def scarce(self) -> list[str]:
        """Return the classes with too few images to be in every split that is cut."""
        present = {row.split for row in self.rows}
        return few([row.labels for row in self.rows if row.split == "train"], None,
                   [split for split in CUT if split not in present])


def survey(settings: Settings, trust: bool = False) -> dict[str, Any]:
    """Look at every image of a source and say what it holds; see `looked` and `facts_of`."""
    return facts_of(looked(settings, trust), settings)


def understood_as(settings: Settings, trust: bool = False) -> Settings:
    """Return settings for the task that finds objects, where labels have boxes; for data of which no task was said.

    Files are listed, and none is decoded; what lies behind a network is not asked.
    """
    finding = replace(settings, task=next(name for name, task in TASKS.items() if DataTrait.BOXES in task.brings))
    sources.check(settings.source, trust)
    try:
        files = sources.listing(finding) if sources.at_hand(settings) else None
        boxed = (any(entry.boxes for entry in files.entries) if files else
                 settings.source in sources.EMBEDDED and bool(sources.read(finding).parts["train"].boxes))
    except DataError:       # which is said when the source is looked at
        return settings
    return finding if boxed else settings


def looked(settings: Settings, trust: bool = False) -> Seen:
    """Look at every image of a source.

    Raises:
        DataError: When the source is none, or is missing.
    """
    started = time.monotonic()
    sources.check(settings.source, trust)
    seen = _files(settings) or _arrays(settings, trust)
    return replace(seen, seconds=time.monotonic() - started)


def facts_of(seen: Seen, settings: Settings) -> dict[str, Any]:
    """Say what a source holds.

    Returns:
        JSON-able facts: source, task, usable (whether training takes it), problems (why not), classes, counts (by
        split, images or objects of each class), imbalance, per_class, images, split_images (images of each split),
        bad and skipped (path and reason), sizes, side, size (what to set `data.size` to, None where the images have
        one size that is not large), fit (what to set `data.fit` to with it, None to leave it), modes, formats, frames,
        dim, objects (where they are to be found, what they are like: `objects.about`, and `side`, `fit` and `smallest`,
        as what the model sees them), duplicates, alike, origin (of each split, also of those that are yet to be cut, in
        words), notices (what is worth knowing, a line each), seconds.
    """
    started = time.monotonic()
    problems = _refusals(seen, settings)
    counts = _counts(seen)
    forms = _forms([row.look for row in seen.rows])
    forms |= _offered_for_objects(seen, forms) if _finds_objects(seen, settings) else {"fit": None}
    duplicates = _duplicates(seen.rows)
    shapes = [Shape(row.look.size, row.look.dim) for row in seen.rows]
    seen_as = seen_by_model(settings, forms)
    boxes = _objects(seen, seen_as) if _finds_objects(seen, settings) else None
    found = Found(seen.classes, counts["counts"], seen.notices, seen.scarce(), settings.rare == "drop",
                  glanced(shapes, seen_as), duplicates["two_labels"], _unlabeled(seen, settings))
    more = objects.notices(boxes, seen_as.fit) if boxes else []
    return {"source": settings.source, "task": settings.task, "usable": not problems, "problems": problems, **counts,
            "origin": seen.origin, "bad": [asdict(file) for file in seen.bad],
            "skipped": [asdict(file) for file in seen.skipped], **forms, "objects": boxes, "duplicates": duplicates,
            "alike": _alike(seen.rows), "notices": [*notices(found), *more],
            "seconds": round(seen.seconds + time.monotonic() - started, 3)}


def seen_by_model(settings: Settings, facts: Mapping[str, Any]) -> Settings:
    """Return settings with the size and fit that are offered with the next command, where they say no size."""
    return settings if settings.size else replace(settings, size=facts["size"], fit=facts["fit"] or settings.fit)


def _finds_objects(seen: Seen, settings: Settings) -> bool:
    return seen.boxed and DataTrait.BOXES in find_task(settings.task).brings


def _offered_for_objects(seen: Seen, forms: Mapping[str, Any]) -> dict[str, Any]:
    """Return size and fit by which no object is cut off and few become tiny."""
    sizes = [row.look.size for row in seen.rows]
    longer = int(np.median([max(size) for size in sizes]))
    if forms["sizes"]["distinct"] == 1 and longer <= objects.LARGEST:
        return {"size": None, "fit": None}
    share = objects.smallest([(row.look.size, row.objects) for row in seen.rows if row.objects])
    square = all(width == height for width, height in sizes)
    return {"size": objects.side(share, longer, objects.LARGEST), "fit": None if square else "pad"}


def _objects(seen: Seen, seen_as: Settings) -> dict[str, Any]:
    boxed = [(row, row.objects) for row in seen.rows if row.objects is not None]
    images = {split: [found.brought(row.look.size, seen_as.size, seen_as.fit) for row, found in boxed
                      if row.split == split] for split in SPLITS if any(row.split == split for row, _ in boxed)}
    return {**objects.about(images), "side": seen_as.size, "fit": seen_as.fit,
            "smallest": objects.smallest([(row.look.size, found) for row, found in boxed])}


def _files(settings: Settings) -> Seen | None:
    listing = sources.listing(settings)
    if listing is None:
        return None
    rows: list[Row] = []
    bad: list[Bad] = []
    for entry, result in zip(listing.entries, decode.each(look.at_file, [entry.path for entry in listing.entries])):
        if isinstance(result, Bad):
            bad.append(result)
        else:
            rows.append(Row(printable(entry.path), entry.labels, entry.split, result,
                            partial(decode.decode, entry.path), _objects_of(entry)))
    return Seen(tuple(rows), listing.classes, (*listing.bad, *bad), listing.skipped, listing.notices,
                origin(dict.fromkeys(row.split for row in rows), listing.origin))


def _arrays(settings: Settings, trust: bool) -> Seen:
    raw = sources.read(replace(settings, max_bad=1.0, size=None, channels=None), trust)
    rows = tuple(Row(f"{split}[{index}]", part.labels[index], split, look.at_pixels(image.numpy()),
                     partial(_image, part.images, index), _objects_in(part, index))
                 for split, part in raw.parts.items()
                 for index, image in enumerate(chain.from_iterable(part.images.split(CHUNK))))
    classes = raw.classes or ordered(name for row in rows if row.split == "train" for name in row.labels)
    return Seen(rows, classes, raw.bad, raw.skipped, raw.notices, origin(raw.parts, raw.origin))


def _image(images: Images, row: int) -> np.ndarray:
    """Return one of the images, uint8 [D, H, W]."""
    values: np.ndarray = images[torch.tensor([row])][0].numpy()
    return values


def _objects_of(entry: sources.Entry) -> Objects | None:
    """Return the objects of a file whose labels have boxes."""
    boxes = entry.boxes
    return None if boxes is None else Objects(torch.from_numpy(boxes.edges).float(), boxes.ignored)


def _objects_in(part: sources.Part, row: int) -> Objects | None:
    """Return the objects of an image of a source whose labels have boxes."""
    if part.boxes is None:
        return None
    return Objects(part.boxes[row], tuple(part.ignored[row]) if part.ignored else ())


def _refusals(seen: Seen, settings: Settings) -> list[str]:
    """Return why training would refuse this source, in the words that training uses."""
    labels = {split: [row.labels for row in seen.rows if row.split == split]
              for split in dict.fromkeys(["train", *(row.split for row in seen.rows)])}
    task = find_task(settings.task)
    problems = _problems(lambda: sources.refuse_many(seen.bad, len(seen.rows) + len(seen.bad), settings.max_bad))
    boxes = {split: [row.objects.boxes for row in seen.rows if row.split == split and row.objects is not None]
             for split in labels} if seen.boxed else {}
    wrong = _problems(lambda: encode(labels, seen.classes, task, boxes))
    if wrong:
        return problems + wrong
    cuts = [split for split in CUT if split not in labels]
    train = encode(labels, seen.classes, task, boxes)[1]["train"]
    every = len(seen.scarce()) == len(seen.classes)
    return problems + (_problems(lambda: require(train, seen.classes, cuts)) if every else [])


def _problems(attempt: Callable[[], object]) -> list[str]:
    try:
        attempt()
    except DataError as error:
        return list(error.problems)
    return []


def _unlabeled(seen: Seen, settings: Settings) -> int:
    """Return the images without a label, where an image may have none."""
    none_allowed = DataTrait.ONE_LABEL not in find_task(settings.task).brings
    return sum(not row.labels for row in seen.rows) if none_allowed else 0


def _counts(seen: Seen) -> dict[str, Any]:
    tally = Counter((row.split, name) for row in seen.rows for name in row.counted)
    present = [split for split in SPLITS if any(row.split == split for row in seen.rows)]
    counts = {split: [tally[split, name] for name in seen.classes] for split in present}
    train = [count for count in counts.get("train", []) if count]
    images = Counter(row.split for row in seen.rows)
    return {"classes": list(seen.classes), "counts": counts, "images": len(seen.rows),
            "split_images": {split: images[split] for split in present},
            "imbalance": max(train) / min(train) if train else None,
            "per_class": sum(train) / len(train) if train else None}


def _forms(looks: Sequence[Look]) -> dict[str, Any]:
    """Return sizes and how the images are stored."""
    if not looks:
        return {"sizes": None, "side": None, "size": None, "modes": {}, "formats": {}, "frames": 0, "dim": 0}
    sizes = np.array([one.size for one in looks])
    short = sizes.min(1)
    distinct = Counter(one.size for one in looks)
    side = int(np.median(short))
    return {"sizes": {"smallest": sizes[short.argmin()].tolist(), "median": np.median(sizes, 0).astype(int).tolist(),
                      "largest": sizes[short.argmax()].tolist(), "distinct": len(distinct)},
            "side": side, "size": _offered(side) if len(distinct) > 1 or side > SIZES[0] else None,
            "modes": _tally(one.mode for one in looks), "formats": _tally(one.kind for one in looks),
            "frames": sum(one.frames for one in looks), "dim": sum(one.dim for one in looks)}


def _offered(side: int) -> int:
    return next((size for size in SIZES if size <= side), side)


def _tally(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _duplicates(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what is there more than once, pixel for pixel."""
    marks = [row.look.mark for row in rows]
    groups = [[rows[index] for index in group] for group in equal(marks)]
    across = _tally(f"{first}_{second}" for group in groups for first, second in _orders(group))
    groups.sort(key=lambda group: (len({row.label for row in group}) == 1, len({row.split for row in group}) == 1))
    return {"groups": len(groups), "copies": sum(len(group) - 1 for group in groups), "across": across,
            "two_labels": contradictions(marks, [row.kinds for row in rows]),
            "examples": [[[row.name, row.label] for row in group[:NAMED]] for group in groups[:NAMED]]}


def _orders(group: Sequence[Row]) -> list[tuple[str, str]]:
    """Return (earlier split, later split) once for each image of the later one."""
    present = {row.split for row in group}
    return [(first, row.split) for row in group for first in SPLITS[:SPLITS.index(row.split)] if first in present]


def _alike(rows: Sequence[Row]) -> dict[str, Any] | None:
    """Return what looks alike and is not equal; None where the images are too small to say."""
    looks = [row.look for row in rows]
    if not looks or np.median([min(one.size) for one in looks]) < TINY:
        return None
    similar = alike([one.mark for one in looks], [one.hash for one in looks], [one.thumbnail for one in looks])
    pairs = [sorted((rows[one], rows[two]), key=lambda row: SPLITS.index(row.split))
             for one, two in similar.pairs.tolist()]
    pairs.sort(key=lambda pair: (pair[0].split == pair[1].split, pair[0].label == pair[1].label))
    across = {(one.split, two.split, two.name) for one, two in pairs if one.split != two.split}
    return {"pairs": len(pairs), "across": _tally(f"{one}_{two}" for one, two, _ in across),
            "looked": similar.looked, "complete": similar.complete,
            "two_labels": sum(one.label != two.label for one, two in pairs),
            "examples": [[[one.name, one.label], [two.name, two.label]] for one, two in pairs[:NAMED]]}

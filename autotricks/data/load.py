"""Load a data set: source, labels, splits, long tail, statistics, fingerprint."""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..core.dataset import Dataset, Split
from ..core.targets import Targets
from ..core.traits import DataTrait
from ..errors import DataError
from ..tasks import find as find_task
from . import groups, long_tail
from .duplicates import apart, contradictions
from .fingerprint import digests, fingerprint, shared
from .glance import glance
from .labels import encode
from .notices import Found, notices
from .rare import few, pinned, without
from .settings import Settings
from .sources import Part, Raw, at_hand, listing, read
from .splits import hold_out, require, strata
from .statistics import mean_and_std

CUT = ("test", "validation")    # what is cut from the training images, in this order

OWN = "the source itself"
CUT_OFF = "cut from train"      # where splits come from, in words


@dataclass(frozen=True, eq=False)
class Loaded:
    """A data set and what is worth telling about it.

    Args:
        dataset: The splits, in memory or streamed.
        facts: JSON-able: source, fingerprint, classes, counts (by split, images of each class), imbalance (largest
            class / smallest class of the training split), image_shape (D, H, W), mean, std, streamed (whether images
            stay in their files), duplicates (images of validation and test that are in train too), dropped (images
            that `data.duplicates: drop` took out, by split), two_labels (images that bear, pixel for pixel, more than
            one label), bad (path and reason of each file left out), skipped (of what belongs to no class), groups
            (how many, where images are grouped), origin (of each split, in words), notices (what is worth knowing, a
            line each), seconds.
    """

    dataset: Dataset
    facts: dict[str, Any]


def load(settings: Settings, trust: bool = False, whole: bool = False, joined: bool = False) -> Loaded:
    """Load the images and labels that the settings name, split, and with the long tail asked for.

    Test is cut first, validation from the rest, and the long tail is made of what remains: neither test nor
    validation depends on `imbalance`, nor test on `validation`.

    Args:
        settings: The `data:` section of a space file.
        trust: Whether a source of the form `my.module:function` may be imported.
        whole: Cut no validation from the training images and let test be the validation split: what published tables
            were made with. Nothing may be chosen by it.
        joined: Train on validation images too, those that the source brings among them, and let test be the validation
            split: for production, once everything has been chosen.

    Raises:
        DataError: When the source is missing, empty, damaged or unusable, or images that are no files do not fit in
            memory.
    """
    started = time.monotonic()
    task = find_task(settings.task)
    raw = read(settings, trust)
    raw, whole = (replace(raw, parts=_joined(raw.parts)), True) if joined else (raw, whole)
    wanted = ("test",) if whole else CUT
    cuts = [name for name in wanted if name not in raw.parts]
    scarce = few(raw.parts["train"].labels, raw.parts["train"].groups, cuts)
    raw = _without(raw, scarce) if settings.rare == "drop" else raw
    classes, targets = encode({name: part.labels for name, part in raw.parts.items()}, raw.classes, task,
                              {name: part.boxes for name, part in raw.parts.items()},
                              {name: part.ignored for name, part in raw.parts.items()})
    groups.require_apart({name: part.groups for name, part in raw.parts.items() if part.groups is not None})
    parts = {name: part for name, part in raw.parts.items() if not (whole and name == "validation")}
    splits, dropped = divided(parts, targets, classes, settings, wanted)
    mean, std = mean_and_std(splits["train"].images)
    marks = {name: digests(split.images) for name, split in splits.items()}
    dataset = Dataset(splits["train"], splits["validation"], splits["test"], classes, mean, std,
                      fingerprint(splits, marks, classes), settings.source, task, settings.normalize == "weights")
    duplicates = {f"train_{name}": shared(marks["train"], marks[name]) for name in ("test", "validation")}
    every = [(mark, label) for name, split in splits.items() if not (whole and name == "validation")
             for mark, label in zip(marks[name], split.targets.listed(), strict=True)]
    facts = _facts(dataset, splits)
    found = Found(classes, facts["counts"], raw.notices, scarce, settings.rare == "drop", raw.glance,
                  contradictions(*zip(*every)), sum(not labels for _, labels in every))
    return Loaded(dataset, {**facts, "origin": origin(raw.parts, raw.origin, wanted), "duplicates": duplicates,
                            "dropped": dropped, "two_labels": found.two_labels, **_bad(raw), **_groups(raw),
                            "notices": notices(found), "seconds": round(time.monotonic() - started, 3)})


def foretold(settings: Settings) -> list[str]:
    """Return what can be said of image files by a look at some of them; nothing of other sources, and missing ones."""
    try:
        files = listing(settings) if at_hand(settings) else None
    except DataError:       # which is said when the data are loaded
        return []
    if files is None:
        return []
    looked = glance([entry.path for entry in files.entries], settings)
    return notices(Found((), {}, files.notices, glance=looked))


def origin(there: Iterable[str], named: Mapping[str, str], wanted: Sequence[str] = CUT) -> dict[str, str]:
    """Return where each split comes from, in words.

    Args:
        there: The splits that the source brings.
        named: What it says of them.
        wanted: Those that are cut where it brings none.
    """
    own = {name: named.get(name, OWN) for name in there}
    return {**own, **{name: CUT_OFF for name in wanted if own and name not in own}}


def _without(raw: Raw, names: Sequence[str]) -> Raw:
    """Return a source without some classes, as long as others are left."""
    known = {name for row in raw.parts["train"].labels for name in row}
    if not names or known <= {*names}:
        return raw
    classes = raw.classes and tuple(name for name in raw.classes if name not in names)
    return replace(raw, parts=without(raw.parts, names), classes=classes)


def _joined(parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return the parts with the validation images among those of training."""
    train = parts["train"]
    more = parts.get("validation")
    if more is None:
        return dict(parts)
    if train.images.shape[1:] != more.images.shape[1:]:
        raise DataError(f"data.size: train has images of shape {tuple(train.images.shape[1:])} (D, H, W), validation "
                        f"{tuple(more.images.shape[1:])}. Set data.size and data.channels.")
    both = train.followed(more)
    return {"train": both, **{name: part for name, part in parts.items() if name == "test"}}


def divided(parts: Mapping[str, Part], targets: Mapping[str, Targets], classes: tuple[str, ...],
            settings: Settings, wanted: tuple[str, ...] = CUT) -> tuple[dict[str, Split], dict[str, int]]:
    """Cut what is wanted and the source does not bring from the training part, then apply the long tail to the rest.

    Without a validation split of its own, the result's is the test split.

    Returns:
        The splits, and how many images each lost because a split that is read later has them.
    """
    fractions = {"test": settings.test, "validation": settings.validation}
    cuts = {name: fractions[name] for name in wanted if name not in parts}
    numbers = groups.numbered({name: part.groups for name, part in parts.items() if part.groups is not None})
    splits = {name: Split(part.images, targets[name], numbers.get(name)) for name, part in parts.items()}
    whole = splits["train"]
    together = parts["train"].groups
    rows = _rows(whole.targets, together, classes, cuts, settings.seed)
    splits |= {name: _taken(whole, rows[name]) for name in cuts}
    left = rows["train"]
    dropped: dict[str, int] = {}
    if settings.duplicates == "drop":
        splits["train"] = _taken(whole, left)
        dropped = _drop(splits)
        whole = splits["train"]
        left = torch.arange(len(whole))
    if settings.imbalance is not None:
        left = left[_long_tail(whole.targets[left], len(classes), settings)]
    splits["train"] = _taken(whole, left)
    splits.setdefault("validation", splits["test"])
    shapes = {name: tuple(split.images.shape[1:]) for name, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"data.size: the splits have images of different shapes (D, H, W): {shapes}. "
                        "Set data.size and data.channels.")
    return splits, dropped


def _long_tail(targets: Targets, classes: int, settings: Settings) -> Tensor:
    """Return the rows that the long tail keeps: of images by their label, or of images by the boxes in them.

    Raises:
        DataError: When images may have several labels that have no boxes, or the factor is too large.
    """
    brings = find_task(settings.task).brings
    assert settings.imbalance is not None
    if DataTrait.ONE_LABEL in brings:
        return long_tail.rows(targets.single, settings.imbalance, settings.seed)
    if DataTrait.BOXES in brings:
        return long_tail.image_rows(targets, classes, settings.imbalance, settings.seed)
    raise DataError("data.imbalance: a long tail is made of images with one label each, or of boxes. Leave it out.")


def _drop(splits: dict[str, Split]) -> dict[str, int]:
    """Take images out of train and validation that a split read later has; return how many, by split."""
    order = [name for name in ("train", "validation", "test") if name in splits]
    dropped: dict[str, int] = {}
    for index, name in enumerate(order[:-1]):
        split = splits[name]
        rows = apart(name, split.images, split.targets, [splits[other].images for other in order[index + 1:]])
        dropped[name] = len(split) - len(rows)
        splits[name] = _taken(split, rows)
    return dropped


def _rows(targets: Targets, together: Sequence[str] | None, classes: tuple[str, ...], cuts: Mapping[str, float],
          seed: int) -> dict[str, Tensor]:
    """Return the rows of each split that is cut, and of train; images of rare classes stay there.

    Raises:
        DataError: When every class is rare.
    """
    if not cuts:
        return {"train": torch.arange(len(targets))}
    labels = strata(targets, len(classes))
    stays = pinned(labels, together, len(cuts))
    if stays.all():
        require(targets, classes, list(cuts))
        groups.require(targets, together or [], classes, list(cuts))
    free = (~stays).nonzero().squeeze(1)
    if together is None:
        rows = _cut(labels, cuts, seed, free)
    else:
        dense = labels[free].unique(return_inverse=True)[1]
        found = groups.cut(dense, [together[row] for row in free.tolist()], cuts, seed)
        rows = {name: free[places] for name, places in found.items()}
    rows["train"] = torch.cat([rows["train"], stays.nonzero().squeeze(1)]).sort().values
    return rows


def _cut(labels: Tensor, fractions: Mapping[str, float], seed: int, left: Tensor) -> dict[str, Tensor]:
    """Cut images off the rows that are left, one split after the other, and return the rows of each."""
    rows = {}
    for name, fraction in fractions.items():
        stay, out = hold_out(labels[left], fraction, seed)
        rows[name] = left[out]
        left = left[stay]
    return {**rows, "train": left}


def _taken(split: Split, rows: Tensor) -> Split:
    return split if len(rows) == len(split) else split.take(rows)


def _facts(dataset: Dataset, splits: Mapping[str, Split]) -> dict[str, Any]:
    counts = {name: splits[name].targets.counts(len(dataset.classes)).tolist()
              for name in ("train", "validation", "test")}
    return {"source": dataset.source, "fingerprint": dataset.fingerprint, "classes": list(dataset.classes),
            "task": dataset.task.name, "split_images": {name: len(splits[name]) for name in counts},
            "counts": counts, "imbalance": max(counts["train"]) / min(counts["train"]),
            "image_shape": list(dataset.image_shape), "mean": list(dataset.mean), "std": list(dataset.std),
            "streamed": not isinstance(dataset.train.images, Tensor)}


def _groups(raw: Raw) -> dict[str, int]:
    """Return how many groups there are, nothing where images are not grouped."""
    together = [part.groups for part in raw.parts.values() if part.groups is not None]
    return {"groups": len({name for names in together for name in names})} if together else {}


def _bad(raw: Raw) -> dict[str, Any]:
    return {"bad": [asdict(file) for file in raw.bad], "skipped": [asdict(file) for file in raw.skipped]}

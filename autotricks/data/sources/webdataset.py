"""webdataset: shards in tar format, whose members of one name are one sample: an image and what is said of it."""
from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..decode import Bad, display_name, error_text, printable
from ..settings import WHOLE_CELL, Settings
from ..storage import Stored
from .archive_index import tar_members
from .files import Entry, Listing, images_of
from .grouping import by_pattern
from .naming import found, relative, splits_of, there
from .raw import Raw, clean

# The standard library reads the shards, not the package webdataset, which reads them from end to end and shuffles what
# it holds: seeded splits, duplicates and the same order on every machine need any image at any time.
IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "avif", "jp2", "j2k", "heic", "heif", "ppm", "pgm",
          "pbm", "pnm")
LABELS = ("cls", "label", "labels", "class", "target")      # extensions, and keys of .json, in the order of looking
BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
MOST_SHARDS = 100_000
MAX_LISTED = 5


@dataclass(frozen=True)
class Sample:
    """Members of one key, by extension."""

    where: str
    members: Mapping[str, Stored]

    def text(self, extension: str) -> str:
        """Return a member as text.

        Raises:
            ValueError: When it is none.
        """
        with self.members[extension].open() as file:
            return file.read().decode()


class Incomplete(ValueError):
    """A sample that cannot be used, with the reason in words."""


def read(location: str, settings: Settings) -> Raw:
    """Decode the images of shards, or leave them there where memory does not hold them.

    Raises:
        DataError: When a shard is damaged, or samples have no image or no label.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the images of shards: PATH is a tar, a folder of them, or a pattern with * or {000..012}.

    A sample has one image, such as key.jpg, and its label, key.cls or `label` or `cls` in key.json; `data.path` and
    `data.label` name other extensions, or another key. The splits are what the shards are called: train, val or test,
    in a file's or folder's name.

    Raises:
        DataError: When a shard is missing or damaged, or it is not clear what is the image.
    """
    root, shards = _shards(location)
    splits = splits_of([relative(shard, root) for shard in shards], settings)
    entries: list[Entry] = []
    keys: list[str] = []
    bad: list[Bad] = []
    skipped: list[Bad] = []
    for shard in shards:
        split = splits[relative(shard, root)]
        if split is None:
            skipped.append(Bad(printable(shard), "its name says no split, where those of other shards do"))
            continue
        held = tar_members(shard)
        skipped += held.skipped
        for sample in _samples(shard, held.files):
            try:
                entries.append(_entry(sample, split, settings))
                keys.append(sample.where.removeprefix(f"{root}/"))
            except Incomplete as error:
                bad.append(Bad(printable(sample.where), str(error)))
    if not any(entry.split == "train" for entry in entries):
        why = f": {display_name(bad[0].path)}: {bad[0].reason}" if bad else ""
        raise DataError(f"data.source: {display_name(root)} has no shard with samples to train on{why}. A sample is "
                        "key.jpg and key.cls, or key.json with label; data.path and data.label name others.")
    if settings.group and settings.group.pattern is not None:
        entries = by_pattern(entries, keys, settings.group.pattern)
    origin = dict.fromkeys(there(entries), "names of shards") if len({*splits.values()}) > 1 else {}
    return Listing(entries, tuple(skipped), bad=tuple(bad), origin=origin)


def _shards(location: str) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the shards, sorted.

    Raises:
        DataError: When there are none, or some of a range are missing.
    """
    if "{" not in location:
        return found(location, ".tar")
    names = [str(Path(name).expanduser()) for name in _expanded(location)]
    shards = [Path(path) for name in names for path in (sorted(glob.glob(name)) if "*" in name else [name])]
    missing = [shard for shard in shards if not shard.is_file()]
    if missing or not shards:
        first = f", the first of them {display_name(missing[0])}" if missing else ""
        raise DataError(f"data.source: {len(missing) or len(names)} of {len(names)} shards are not there{first}. Fetch "
                        "them, or mend what is in braces.")
    return Path(os.path.commonpath([shard.parent for shard in shards])), shards


def _expanded(name: str) -> Iterator[str]:
    """Yield the names that braces stand for: {train,val}, or {000..012} with as many digits as its first number has.

    Raises:
        DataError: When they are too many.
    """
    braces = BRACES.search(name)
    if not braces:
        yield name
        return
    first, last, words = braces.groups()
    if words is None and not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise DataError(f"data.source: {display_name(name)}: {braces[0]} is not allowed; write {{000..012}}, of at "
                        f"most {MOST_SHARDS:,} shards.")
    for word in words.split(",") if words is not None else (
            f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)):
        yield from _expanded(name[:braces.start()] + word + name[braces.end():])


def _samples(shard: Path, files: Mapping[str, Stored]) -> Iterator[Sample]:
    """Yield the members that follow each other and have one key: the name up to the first dot of its last part."""
    key = ""
    members: dict[str, Stored] = {}
    for name, stored in files.items():
        folder, slash, last = name.rpartition("/")
        stem, _, extension = last.partition(".")
        if members and key != folder + slash + stem:
            yield Sample(f"{shard}/{key}", members)
            members = {}
        if stem:    # else it is a hidden file
            key = folder + slash + stem
            members[extension.lower()] = stored
    if members:
        yield Sample(f"{shard}/{key}", members)


def _entry(sample: Sample, split: str, settings: Settings) -> Entry:
    facts = _Facts(sample)
    group = settings.group.column if settings.group else None
    labels = _labels(sample, facts, settings)
    return Entry(_image(sample, settings.table.path), labels, split, facts.word(group) if group else "")


def _image(sample: Sample, wanted: str | None) -> Stored:
    """Return the image of a sample.

    Raises:
        Incomplete: When it has none.
        DataError: When it has several.
    """
    there = [one for one in sample.members if (one == wanted if wanted else one.rpartition(".")[2] in IMAGES)]
    if len(there) > 1:
        raise DataError(f"data.path: {display_name(sample.where)} has several images, {_listed(there)}. Name the one "
                        f"to take: data.path: {there[0]}.")
    if not there:
        raise Incomplete(f"no image; its members are {_listed(sample.members)}")
    return sample.members[there[0]]


class _Facts:
    """What the .json of a sample says, read when it is asked for."""

    def __init__(self, sample: Sample):
        self._sample = sample

    def value(self, key: str) -> Any:
        """Return what it says of a key; None where it says nothing."""
        if "json" not in self._sample.members:
            return None
        try:
            facts = json.loads(self._sample.text("json"))
        except (ValueError, RecursionError) as error:
            raise Incomplete(f"its .json cannot be read: {error_text(error)}") from error
        return facts.get(key) if isinstance(facts, dict) else None

    def word(self, key: str) -> str:
        """Return what it says of a key as a word.

        Raises:
            DataError: When it says nothing.
        """
        value = self.value(key)
        if value is None or not str(value).strip():
            raise DataError(f"data.group.column: {display_name(self._sample.where)}: its .json has no {key}.")
        return str(value)


def _labels(sample: Sample, facts: _Facts, settings: Settings) -> tuple[str, ...]:
    """Return the labels of a sample: of a member, or of a key of its .json.

    Raises:
        Incomplete: When it has none.
    """
    wanted = settings.table.label
    names = wanted or LABELS
    for name in names:
        if name in sample.members:
            try:
                text = sample.text(name).strip()
            except UnicodeDecodeError:
                raise Incomplete(f"its .{name} is no text in UTF-8") from None
            between = settings.table.separator
            words = [text] if between is None or between == WHOLE_CELL else text.split(between)
            return tuple(clean(word) for word in words if word.strip()) or _none(f"its .{name} is empty")
    value = next((value for name in names if (value := facts.value(name)) is not None), None)
    values = value if isinstance(value, list) else [value]
    if value is None or not all(isinstance(one, str | int) and str(one).strip() for one in values):
        return _none(f"its members are {_listed(sample.members)}" if value is None else
                     f"{printable(str(value)[:80])} is none")
    return tuple(dict.fromkeys(map(clean, values)))


def _none(why: str) -> tuple[str, ...]:
    raise Incomplete(f"no label; {why}")


def _listed(names: Iterable[str]) -> str:
    shown = [printable(name) or "(no extension)" for name in names]
    more = f" and {len(shown) - MAX_LISTED} more" if len(shown) > MAX_LISTED else ""
    return ", ".join(shown[:MAX_LISTED]) + more

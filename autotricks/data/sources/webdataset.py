"""webdataset: shards in tar format, whose members of one name are one sample: an image and what is said of it."""
from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..decode import Bad, display_name, printable
from ..settings import Settings
from ..storage import Stored
from .archives import tar_members
from .files import Entry, Listing, existing, images_of
from .naming import parse, splits_of
from .raw import Raw, clean

# The standard library reads the shards, not the package of that name: its loader reads them from end to end and shuffles
# what it holds, where seeded splits, duplicates and the same order on every machine need any image at any time.
IMAGES = ("jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "avif", "jp2", "j2k", "heic", "heif", "ppm", "pgm",
          "pbm", "pnm", "img", "image")
LABELS = ("cls", "label", "labels", "class", "target")      # extensions, and keys of .json, in the order of looking
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST_SHARDS = 100_000
MAX_LISTED = 5


@dataclass(frozen=True)
class Sample:
    """Members of one key, by extension."""

    key: str
    members: Mapping[str, Stored]


def read(argument: str, settings: Settings) -> Raw:
    """Decode the images of shards, or leave them there where memory does not hold them.

    Raises:
        DataError: When a shard is damaged, or samples have no image or no label.
    """
    return images_of(listing(argument, settings), settings)


def listing(argument: str, settings: Settings) -> Listing:
    """List the images of shards: PATH is a tar, a folder of them, or a pattern with * or {000..012}.

    A sample has one image (`key.jpg`) and its label (`key.cls`, or `label` or `cls` in `key.json`). The splits are what
    the shards are called: train, val or test, in a file's or folder's name.

    Raises:
        DataError: When a shard is missing or damaged, or samples have no image or no label.
    """
    location, options = parse("webdataset", argument, ("image", "label"))
    root, shards = _shards(location)
    splits = splits_of([_relative(shard, root) for shard in shards])
    entries: list[Entry] = []
    skipped: list[Bad] = []
    for shard in shards:
        split = splits[_relative(shard, root)]
        if split is None:
            skipped.append(Bad(printable(shard), "its name says no split, where those of other shards do"))
            continue
        held = tar_members(shard)
        skipped += held.skipped
        for sample in _samples(held.files):
            entries.append(_entry(shard, sample, split, options))
    if not any(entry.split == "train" for entry in entries):
        raise DataError(f"data.source: {display_name(root)} has no shard with images to train on. Shards of train are "
                        "called so, in their own or their folder's name; of val and test too.")
    return Listing(entries, tuple(skipped))


def _shards(location: str) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the shards in it, sorted."""
    if not any(mark in location for mark in "*?[{"):
        path = existing(location)
        if path.is_dir():
            return path, _required(sorted(path.rglob("*.tar")), path)
        return path.parent, [path]
    words = [str(Path(word).expanduser()) for word in _expanded(location)]
    shards = sorted(Path(found) for word in words for found in (glob.glob(word) if set(word) & set("*?[") else [word]))
    missing = [shard for shard in shards if not shard.is_file()]
    if missing:
        raise DataError(f"data.source: {len(missing)} of {len(shards)} shards are not there, the first of them "
                        f"{display_name(missing[0])}. Mend the range, or fetch them.")
    fixed = re.split(r"[*?\[{]", str(Path(location).expanduser()))[0]
    return Path(fixed).parent if not fixed.endswith("/") else Path(fixed), _required(shards, location)


def _required(shards: list[Path], where: str | Path) -> list[Path]:
    if not shards:
        raise DataError(f"data.source: {display_name(where)} holds no .tar file. Shards are called shard-000.tar.")
    return shards


def _expanded(word: str) -> Iterator[str]:
    """Yield a name for each number of the ranges in braces, with as many digits as the first has.

    Raises:
        DataError: When there are too many.
    """
    found = RANGE.search(word)
    if not found:
        yield word
        return
    first, last = found.groups()
    if not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise DataError(f"data.source: {display_name(word)}: {found[0]} is not allowed; write {{000..012}}, of at most "
                        f"{MOST_SHARDS:,} shards.")
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{word[:found.start()]}{number:0{len(first)}d}{word[found.end():]}")


def _relative(shard: Path, root: Path) -> str:
    return shard.relative_to(root).as_posix() if shard.is_relative_to(root) else shard.name


def _samples(files: Mapping[str, Stored]) -> Iterator[Sample]:
    """Yield members that follow each other and have the same key: all of the name before the first dot of its last part.
    """
    key = None
    members: dict[str, Stored] = {}
    for name, place in files.items():
        folder, _, last = name.rpartition("/")
        if last.startswith("."):
            continue
        stem, _, extension = last.partition(".")
        own = f"{folder}/{stem}" if folder else stem
        if members and own != key:
            yield Sample(key or "", members)
            members = {}
        key = own
        members[extension.lower()] = place
    if members:
        yield Sample(key or "", members)


def _entry(shard: Path, sample: Sample, split: str, options: Mapping[str, str]) -> Entry:
    where = display_name(f"{shard}/{sample.key}")
    image = _image(where, sample, options.get("image"))
    return Entry(image, _labels(where, sample, options.get("label")), split)


def _image(where: str, sample: Sample, wanted: str | None) -> Stored:
    found = [one for one in sample.members if (one == wanted if wanted else one.rpartition(".")[2] in IMAGES)]
    if len(found) != 1:
        what = f"images of several kinds, {', '.join(found)}" if found else (
            f"no {wanted}" if wanted else "no image")
        raise DataError(f"data.source: {where} has {what}; its members are {_listed(sample.members)}. Say which is the "
                        "image: webdataset:PATH?image=jpg.")
    return sample.members[found[0]]


def _labels(where: str, sample: Sample, wanted: str | None) -> tuple[str, ...]:
    """Return the labels of a sample: of the member `wanted`, or of this key of its .json."""
    for extension in [wanted] if wanted else LABELS:
        if extension in sample.members:
            text = _text(where, sample.members[extension])
            return (clean(text),) if text.strip() else _refuse(where, f"its {extension} is empty")
    if "json" not in sample.members:
        return _refuse(where, f"its members are {_listed(sample.members)}")
    try:
        facts = json.loads(_text(where, sample.members["json"]))
    except ValueError as error:
        return _refuse(where, f"its .json cannot be read: {error}")
    keys = [key for key in ([wanted] if wanted else LABELS) if isinstance(facts, dict) and key in facts]
    if not keys:
        said = f"has the keys {_listed(facts)}" if isinstance(facts, dict) else "is no object with keys"
        return _refuse(where, f"its .json {said}")
    return label_names(where, facts[keys[0]])


def label_names(where: str, value: Any) -> tuple[str, ...]:
    """Return the labels that a value of JSON or of a table says: a name, a number, or a list of them.

    Raises:
        DataError: When it is something else.
    """
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int) and str(one).strip() for one in values):
        return _refuse(where, f"{str(value)[:80]!r} is no label")
    return tuple(clean(one) for one in values)


def _text(where: str, place: Stored) -> str:
    with place.open() as file:
        try:
            return file.read().decode()
        except UnicodeDecodeError:
            raise DataError(f"data.source: {display_name(str(place))} is no text in UTF-8.") from None


def _refuse(where: str, why: str) -> tuple[str, ...]:
    raise DataError(f"data.source: {where} has no label: {why}. A sample needs key.cls, or key.json with label; "
                    "webdataset:PATH?label=NAME names another extension or key.")


def _listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(printable, list(names)[:MAX_LISTED])) + more

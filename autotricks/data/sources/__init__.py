"""The sources by name."""
from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path

from ...errors import DataError
from ..decode import display_name
from ..fitting import sides
from ..settings import Settings
from . import (
    archive,
    coco,
    csv_table,
    digit_scenes,
    digits,
    hugging_face,
    image_folder,
    npz,
    own_code,
    parquet,
    torchvision_sets,
    voc,
    webdataset,
    yolo,
)
from .files import Entry, Listing, refuse_address
from .raw import Part, Raw, refuse_many

Reader = Callable[[str, Settings], Raw]
READERS: dict[str, Reader] = {"digits": digits.read, "digit_scenes": digit_scenes.read,
                              "image_folder": image_folder.read, "csv": csv_table.read,
                              "npz": npz.read, "torchvision": torchvision_sets.read, "hf": hugging_face.read,
                              "parquet": parquet.read, "webdataset": webdataset.read, "zip": archive.read_zip,
                              "tar": archive.read_tar, "coco": coco.read, "voc": voc.read, "yolo": yolo.read}
LISTINGS: dict[str, Callable[[str, Settings], Listing | None]] = {
    "image_folder": image_folder.listing, "csv": csv_table.listing, "hf": hugging_face.listing,
    "parquet": parquet.listing, "webdataset": webdataset.listing, "zip": archive.list_zip, "tar": archive.list_tar,
    "coco": coco.listing, "voc": voc.listing, "yolo": yolo.listing, "torchvision": torchvision_sets.listing}
EMBEDDED = {"digits": (1, 8, 8), "digit_scenes": (1, digit_scenes.SIDE, digit_scenes.SIDE)}
# of their images, (D, H, W); they take nothing after their name
FORMS = ("digits, digit_scenes, image_folder:PATH, csv:PATH, npz:PATH, hf:NAME, parquet:PATH, webdataset:PATH, "
         "zip:PATH, tar:PATH, coco:ANNOTATIONS.json, voc:PATH, yolo:PATH, torchvision:NAME or my.module:function")
SUFFIXES = {".csv": "csv", ".tsv": "csv", ".npz": "npz", ".parquet": "parquet", ".zip": "zip", ".tar": "tar",
            ".json": "coco", ".yaml": "yolo"}
FETCHED = ("hf", "parquet")         # sources of which listing fetches files, or writes some into the cache
NAMED = ("hf", "torchvision")       # sources that are named; all others have a path
_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def read(settings: Settings, trust: bool = False) -> Raw:
    """Read the source that the settings name.

    Raises:
        DataError: When it is unknown, not trusted, missing or unusable.
    """
    check(settings.source, trust)
    word, _, argument = settings.source.partition(":")
    return READERS[word](argument, settings) if word in READERS else own_code.read(settings.source, settings)


def listing(settings: Settings) -> Listing | None:
    """Return the files of a source that is made of files; None for any other.

    Raises:
        DataError: When they cannot be listed.
    """
    word, _, argument = settings.source.partition(":")
    return LISTINGS[word](argument, settings) if word in LISTINGS else None


def at_hand(settings: Settings) -> bool:
    """Return whether a source can be listed without fetching or writing anything."""
    return settings.source.partition(":")[0] not in FETCHED


def shape_of(settings: Settings) -> tuple[int, int, int] | None:
    """Return the shape (D, H, W) of the images where it is known before they are read."""
    word, _, argument = settings.source.partition(":")
    shape = npz.shape(argument) if word == "npz" else None
    shape = EMBEDDED.get(word, shape)
    if shape is None and not (settings.size and settings.channels):
        return None
    depth, height, width = shape or (0, 0, 0)
    return settings.channels or depth, *(sides(settings.size) if settings.size else (height, width))


def check(source: str, trust: bool = False) -> None:
    """Check the form of a source without reading anything.

    Args:
        source: As the user wrote it.
        trust: Whether `my.module:function` may be imported.

    Raises:
        DataError: When no source is of that form.
    """
    word, _, argument = source.partition(":")
    if word in READERS:
        if bool(argument) == (word in EMBEDDED):
            needed = "name" if word in NAMED else "path"
            missing = f"{word} needs a {needed}; allowed are {FORMS}."
            problem = f"{word} takes nothing after it." if argument else missing
            raise DataError(f"data.source: {source!r}: {problem}")
        return
    refuse_address(source)
    code = _CODE.fullmatch(source)
    near = _near(source, word, argument)
    if not code or (near and not trust):
        raise DataError(f"data.source: no source is called '{display_name(source)}'.{near} Allowed are {FORMS}.")
    if not trust:
        raise DataError(f"data.source: {source} is code of yours; allow it with --trust.")


def _near(source: str, word: str, argument: str) -> str:
    path = Path(source)
    if not argument and ("/" in source or path.suffix or path.exists()):
        kind = SUFFIXES.get(path.suffix.lower(), "image_folder")
        return f" Did you mean {kind}:{source}?"
    known = {name.lower(): f"torchvision:{name}" for name in torchvision_sets.FAMILIAR}
    plain = re.sub("[-_ ]", "", source.lower())
    if plain in known:
        return f" Did you mean {known[plain]}?"
    near = difflib.get_close_matches(word.lower().replace("-", "_"), READERS, 1, 0.7)
    if not near:
        return ""
    rest = f":{argument}" if argument and near[0] not in EMBEDDED else ""
    return f" Did you mean {near[0]}{rest}?"


__all__ = ["Entry", "Listing", "Part", "Raw", "at_hand", "check", "listing", "read", "refuse_many", "shape_of"]

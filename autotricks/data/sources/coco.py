"""coco: annotations in COCO's JSON, one file or one for each split, beside the images that they name."""
from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..decode import Bad, display_name, error_text, printable
from ..fitting import Edges
from ..settings import Settings
from .annotated import Annotated, Marked, Said, around, folder_of, listed as listed_images, missing_images, number
from .entering import entered
from .files import Listing, files_under, images_of
from .naming import relative, told_splits_of
from .raw import MORE_WORDS, Raw, clean

SPLIT = "{split}"
ANNOTATIONS = "annotations"
OBJECTS = "instances"       # what COCO calls its files of boxes, beside those of captions and of keypoints
KEYS = ("images", "annotations", "categories")
LIST = {"images": "[{id, file_name}]", "annotations": "[{image_id, category_id, bbox}]", "categories": "[{id, name}]"}
MAX_LISTED = 5


def read(location: str, settings: Settings) -> Raw:
    """Decode the images of COCO annotations, or leave them there where memory does not hold them.

    Raises:
        DataError: When the annotations are damaged, or their images are not there.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the images of COCO annotations: ANNOTATIONS or ANNOTATIONS:IMAGES.

    ANNOTATIONS is a file, a folder that holds one for each split, or a path with {split} in it, which stands for train,
    val and test; IMAGES is a folder, which may have {split} in it too. Without it images are looked for around the
    annotations.

    Raises:
        DataError: When the annotations are damaged, or their images are not there.
    """
    where, images = _parted(location)
    if SPLIT in where:
        files = {path: split for word, split in MORE_WORDS.items()
                 if (path := entered(where.replace(SPLIT, word), False)).is_file()}
        if not files:
            raise DataError(f"data.source: coco:{display_name(where)}: no such file, with {', '.join(MORE_WORDS)} for "
                            f"{SPLIT}.")
        return _listed(files, _root(entered(where.partition(SPLIT)[0] + SPLIT, False)), images, settings)
    return listed(entered(where), settings, images)


def listed(root: Path, settings: Settings, images: str = "") -> Listing:
    """List the images of a file of annotations, or of a folder that holds some, on the disk or in an archive.

    Raises:
        DataError: When the annotations are damaged, or their images are not there.
    """
    if not root.is_dir():
        return _listed({root: "train"}, _root(root), images, settings)
    found = [path for path in files_under(root, root)[0] if path.suffix.lower() == ".json"]
    files = [path for path in found if path.name.startswith(OBJECTS)] or found
    if not files:
        raise DataError(f"data.source: {display_name(root)} holds no .json file. Name the file of annotations: "
                        "coco:FILE.json.")
    names = {path: relative(path, root) for path in files}
    splits = told_splits_of(list(names.values()), settings)
    home = root.parent if root.name.lower() == ANNOTATIONS else root
    return _listed({path: splits[name] or "" for path, name in names.items()}, home, images, settings)


def _parted(location: str) -> tuple[str, str]:
    """Return the annotations and the folder of their images, if one is given."""
    where, colon, images = location.rpartition(":")
    return (where, images) if colon and not entered(location, False).exists() else (location, "")


def _root(path: Path) -> Path:
    """Return the folder that holds a file and its images."""
    return path.parent.parent if path.parent.name.lower() == ANNOTATIONS else path.parent


def _listed(files: Mapping[Path, str], root: Path, images: str, settings: Settings) -> Listing:
    """List the images of files of annotations, each of which is of a split; those of none are not used."""
    order: dict[str, None] = {}
    found: list[Annotated] = []
    skipped: list[Bad] = []
    origin: dict[str, str] = {}
    for path, split in files.items():
        try:
            document = _Document.read(path)
        except Foreign:
            if len(files) == 1:
                raise
            skipped.append(Bad(printable(path), "not COCO's"))
            continue
        if not split or document.annotations is None:
            why = "it has no annotations" if split else "its name says no split, where those of other files do"
            skipped.append(Bad(printable(path), why))
            continue
        order.update(dict.fromkeys(document.categories.values()))
        found += document.images(split, _folder(document, root, images))
        origin[split] = f"{origin[split]}, {path.name}" if split in origin else path.name
    if not any(image.split == "train" for image in found):
        few = ", ".join(display_name(path.name) for path in list(files)[:MAX_LISTED])
        raise DataError(f"data.source: coco:{display_name(root)} has no images to train on: none of {few} is called "
                        "train and has annotations. data.splits says which is what.")
    return listed_images(found, root, settings, Said(skipped, origin=origin if len(files) > 1 else {},
                                                     order=tuple(order)))


def _folder(document: _Document, root: Path, images: str) -> Path:
    """Return where the images of a file of annotations lie.

    Raises:
        DataError: When none of them is there.
    """
    path = document.path
    names = list(document.files.values())
    words = [word for word in MORE_WORDS if SPLIT in images] or [""]
    given = [entered(images.replace(SPLIT, word), False) for word in words] if images else []
    folder = folder_of(names, [one for one in given if one.is_dir()] if images else around(path.parent, root))
    if folder is None and names:
        shown = (given[0] if given else path.parent) / names[0]
        raise missing_images(path, str(shown), f"Name their folder: coco:{display_name(path)}:IMAGES.")
    return folder or path.parent


class Foreign(DataError):
    """JSON that is not COCO's."""


@dataclass(frozen=True)
class _Document:
    """What a file says.

    Args:
        path: Of the file.
        files: Name of the file of each image by its id.
        sizes: Width and height of each image by its id, where they are given.
        categories: Names by id.
        annotations: One for each object; None where the file has none, as that of COCO's test images.
    """

    path: Path
    files: dict[Any, str]
    sizes: dict[Any, tuple[int, int] | None]
    categories: dict[Any, str]
    annotations: list[Any] | None

    @classmethod
    def read(cls, path: Path) -> _Document:
        """Read a file.

        Raises:
            DataError: When it is no JSON, or not COCO's.
        """
        name = display_name(path)
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"data.source: {name} is no JSON: {error_text(error)}. Write it anew.") from error
        if not isinstance(document, dict) or "images" not in document or "categories" not in document:
            held = ", ".join(map(str, document))[:80] if isinstance(document, dict) else f"a {type(document).__name__}"
            raise Foreign(f"data.source: {name} holds {held or 'nothing'}; COCO's {', '.join(KEYS)} are needed.")
        for key in KEYS:
            rows = document.get(key, [])
            wrong = next((row for row, one in enumerate(rows) if not isinstance(one, dict)),
                         None) if isinstance(rows, list) else ""
            if wrong is not None:
                where = f"{key}[{wrong}]" if wrong != "" else key
                raise DataError(f"data.source: {name}: {where} is not what COCO has; {key} must be {LIST[key]}.")
        files = _by_id(name, "images", document["images"], "file_name")
        sizes = {row["id"]: _size(row) for row in document["images"]}
        categories = {key: clean(text) for key, text in _by_id(
            name, "categories", document["categories"], "name").items()}
        return cls(path, files, sizes, categories, document.get("annotations"))

    def images(self, split: str, folder: Path) -> Iterator[Annotated]:
        """Yield each image with its objects; what is said of images that are not listed is with the first."""
        objects: dict[Any, list[Marked]] = defaultdict(list)
        first = next(iter(self.files), None)
        for row, annotation in enumerate(self.annotations or []):
            image = annotation.get("image_id")
            there = _hashable(image) and image in self.files
            objects[image if there else first].append(self._marked(row, annotation, there))
        for key, name in self.files.items():
            yield Annotated(folder / name, split, objects[key], self.sizes[key])

    def _marked(self, row: int, annotation: Mapping[str, Any], there: bool) -> Marked:
        place = f"{display_name(self.path)}: annotations[{row}]"
        category = annotation.get("category_id")
        edges = _edges(annotation.get("bbox"))
        wrong = "" if edges else "no bbox of four numbers, [x, y, width, height]"
        if not _hashable(category) or category not in self.categories:
            wrong = f"of category {printable(str(category)[:40])}, which categories does not list"
        if not there:
            wrong = f"of image {printable(str(annotation.get('image_id'))[:40])}, which images does not list"
        ignored = bool(annotation.get("iscrowd") or annotation.get("ignore"))
        return Marked("" if wrong else self.categories[category], edges or (math.nan,) * 4, place, ignored, wrong)


def _by_id(name: str, key: str, rows: Sequence[Mapping[str, Any]], word: str) -> dict[Any, str]:
    """Return what each row is called, by its id.

    Raises:
        DataError: When one has no id or no name, or two have the same.
    """
    found: dict[Any, str] = {}
    places: dict[str, int] = {}
    for row, one in enumerate(rows):
        where = f"data.source: {name}: {key}[{row}]"
        text = one.get(word)
        if not _hashable(one.get("id")) or one.get("id") is None or not isinstance(text, str) or not text.strip():
            raise DataError(f"{where} has no {'id' if one.get('id') is None else word}; {key} must be {LIST[key]}.")
        if one["id"] in found:
            raise DataError(f"{where} has the id {one['id']}, which another has too. Give each its own.")
        if text in places:
            raise DataError(f"{where} is called {display_name(text)}, as {key}[{places[text]}] is. Make them one.")
        found[one["id"]] = text
        places[text] = row
    return found


def _hashable(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = (number(row.get(key)) for key in ("width", "height"))
    known = width > 0 and height > 0 and width.is_integer() and height.is_integer()
    return (int(width), int(height)) if known else None


def _edges(box: Any) -> Edges | None:
    """Return the edges of [x, y, width, height]; None where it is no four numbers."""
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(one, int | float) for one in box):
        return None
    left, top, width, height = (number(one) for one in box)
    return left, top, left + width, top + height

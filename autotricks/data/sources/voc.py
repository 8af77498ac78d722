"""voc: annotations in Pascal VOC's XML, one file for each image."""
from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from ...errors import DataError
from ..decode import Bad, display_name, error_text, printable
from ..fitting import Edges
from ..settings import Settings
from .annotated import Annotated, Marked, Said, listed as listed_images, number
from .entering import entered
from .files import Listing, files_under, images_of, innermost, is_picture, visible
from .layout import IMAGES
from .naming import relative, told_splits_of
from .raw import MORE_WORDS, Raw, clean

NOTES = ("annotations", "annotations_voc")
LISTS = ("ImageSets", "Main")       # where files of names say the splits
BOTH = "trainval"                   # train and validation together, which is train where there is no list of that
YEAR = re.compile(r"VOC\d{4}")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
ENTITIES = (b"<!DOCTYPE", b"<!ENTITY")      # by which a small file grows to gigabytes


@dataclass(frozen=True)
class Drawn:
    """What an XML file says.

    Args:
        place: Of the file.
        name: Of the image's file.
        size: Width and height of the image, None where they are not given.
        objects: With edges as they are written.
    """

    place: Path
    name: str
    size: tuple[int, int] | None
    objects: Sequence[Marked]


class Unusable(ValueError):
    """A file that is no annotation, with the reason in words."""


def read(location: str, settings: Settings) -> Raw:
    """Decode annotated images, or leave them there where memory does not hold them.

    Raises:
        DataError: When there are no annotations, or none of their images is there.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the images of XML annotations on the disk or in an archive; see `listed`.

    Raises:
        DataError: When there are no annotations, or none of their images is there.
    """
    return listed(entered(location), settings)


def listed(root: Path, settings: Settings) -> Listing:
    """List the images of the XML files below a folder.

    Each file's image has its name, or else the one that it tells, and lies below the same folder, or the next above.
    ImageSets/Main/train.txt and so on say the splits, for each year of a VOCdevkit; where there are none, the names of
    folders do. Coordinates count pixels from 1 and include the last one, as VOC has them, unless one of them is 0.

    Raises:
        DataError: When there are no annotations, or none of their images is there.
    """
    if not root.is_dir():
        raise DataError(f"data.source: {display_name(root)} is a file; voc needs the folder that holds Annotations and "
                        "JPEGImages.")
    root = innermost(root)
    years = [path for path in visible(root) if YEAR.fullmatch(path.name) and path.is_dir()]
    parts = [_Part.of(folder, settings) for folder in years or [root]]
    drawn = [one for part in parts for one, _, _ in part.images]
    zero = any(edge == 0 for one in drawn for marked in one.objects for edge in marked.edges[:2])
    images = [Annotated(path, split, one.objects if zero else [*map(_from_zero, one.objects)], one.size)
              for part in parts for one, path, split in part.images]
    if not images:
        bad = next((one for part in parts for one in part.bad), None)
        why = f", such as {display_name(bad.path)} ({bad.reason})" if bad else ""
        raise DataError(f"data.source: {display_name(root)} holds no XML annotation with an image{why}. Folders "
                        "Annotations and JPEGImages are needed.")
    notices = ["coordinates count from 0, as some of them are 0; VOC's own count from 1"] if zero else []
    origin = {split: words for part in parts for split, words in part.origin.items()}
    return listed_images(images, root, settings, Said(
        [one for part in parts for one in part.skipped], [one for part in parts for one in part.bad], notices, origin))


@dataclass(frozen=True)
class _Part:
    """A folder with annotations and images: what each annotation says, its image and its split."""

    images: list[tuple[Drawn, Path, str]]
    skipped: list[Bad]
    bad: list[Bad]
    origin: Mapping[str, str]

    @classmethod
    def of(cls, root: Path, settings: Settings) -> _Part:
        files = files_under(root, root)[0]
        notes = _in(NOTES, [path for path in files if path.suffix.lower() == ".xml"], root)
        pictures = _in(IMAGES, [path for path in files if is_picture(path.name)], root)
        if notes and not pictures:
            pictures = [path for path in files_under(root.parent, root.parent)[0] if is_picture(path.name)]
        splits, origin = _lists(root, settings)
        if not splits:
            said = told_splits_of([relative(path.parent, root) for path in notes], settings)
            splits = {path.stem: split for path in notes if (split := said[relative(path.parent, root)])}
            origin = dict.fromkeys(splits.values(), "names of folders") if len({*splits.values()}) > 1 else {}
        part = cls([], [], [], origin)
        part._take(notes, _Pictures(pictures), splits)
        return part

    def _take(self, notes: Sequence[Path], pictures: _Pictures, splits: Mapping[str, str]) -> None:
        """Read the annotations of the splits, and say what has none."""
        unlisted = [path for path in notes if path.stem not in splits]
        if unlisted:
            self.skipped.append(Bad(printable(unlisted[0]), f"{len(unlisted):,} annotations: in no split"))
        for path in notes:
            if path.stem in splits:
                self._add(path, pictures, splits[path.stem])
        known = {path.stem for path in notes}
        bare = [path for path in pictures.paths if path not in pictures.used and path.stem not in known]
        if bare:
            self.skipped.append(Bad(printable(bare[0]), f"{len(bare):,} images: no annotation"))
        lost = [name for name in splits if name not in known]
        if lost:
            self.skipped.append(Bad(printable(lost[0]), f"{len(lost):,} names in lists of splits: no annotation"))

    def _add(self, path: Path, pictures: _Pictures, split: str) -> None:
        try:
            one = drawn_in(path)
        except Unusable as error:
            self.bad.append(Bad(printable(path), str(error)))
            return
        image = pictures.find(path, one.name)
        if image is None:
            self.bad.append(Bad(printable(path), f"its image, {display_name(one.name or path.stem)}, is not there"))
        else:
            self.images.append((one, image, split))


class _Pictures:
    """Image files by name; one that lies beside its annotation, or nearest to it, is taken of several."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths
        self.used: set[Path] = set()
        self._known: dict[str, list[Path]] = {}
        for path in paths:
            self._known.setdefault(path.stem, []).append(path)
            self._known.setdefault(path.name, []).append(path)

    def find(self, note: Path, name: str) -> Path | None:
        """Return the image of an annotation: the one of its name, or else the one that it tells."""
        found = self._known.get(note.stem) or self._known.get(re.split(r"[/\\]", name)[-1], [])
        near = sorted(found, key=lambda path: (path.name == name, len([*_together(path, note)])), reverse=True)
        self.used.update(near[:1])
        return near[0] if near else None


def _in(words: Collection[str], paths: Sequence[Path], root: Path) -> list[Path]:
    """Return those of the paths that lie in a folder of such a name; all of them where none does."""
    held = [path for path in paths if any(part.lower() in words for part in path.relative_to(root).parts[:-1])]
    return held or list(paths)


def _together(path: Path, other: Path) -> Iterator[str]:
    for left, right in zip(path.parts, other.parts):
        if left != right:
            return
        yield left


def _lists(root: Path, settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Return the split of each name in ImageSets/Main, and where each split comes from."""
    folder = root.joinpath(*LISTS)
    words = settings.splits.by_word() if settings.splits else MORE_WORDS
    there = {path.stem.lower(): path for path in files_under(folder, root)[0]
             if path.suffix == ".txt"} if folder.is_dir() else {}
    chosen = {word: split for word, split in words.items() if word in there}
    if "train" not in chosen.values() and BOTH in there:
        chosen[BOTH] = "train"
    missing = [word for word in words if word not in there] if settings.splits and there else []
    if missing:
        raise DataError(f"data.splits: {display_name(folder)} has no {missing[0]}.txt; it has {', '.join(there)}.")
    splits: dict[str, str] = {}
    for word, split in chosen.items():
        for line in there[word].read_bytes().decode("utf-8", "replace").split("\n"):
            if name := line.strip().partition(" ")[0]:
                _once(splits, Path(name).stem if is_picture(name) else name, split, folder)
    return splits, {split: f"ImageSets/Main/{word}.txt" for word, split in chosen.items()}


def _once(splits: dict[str, str], name: str, split: str, folder: Path) -> None:
    if splits.setdefault(name, split) != split:
        raise DataError(f"data.source: {display_name(folder)}: {display_name(name)} is in {splits[name]} and in {split}"
                        ". Take it out of one, or say which lists to use: data.splits.")


def drawn_in(path: Path) -> Drawn:
    """Read an XML file.

    Raises:
        Unusable: When it is none, or not VOC's.
    """
    try:
        content = path.read_bytes()
        if any(word in content for word in ENTITIES):
            raise Unusable("it declares entities, which annotations have no use for")
        root = ElementTree.fromstring(content)
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise Unusable(str(error) if isinstance(error, Unusable) else f"no XML: {error_text(error)}") from error
    if root.tag != "annotation":
        raise Unusable(f"<{printable(root.tag[:40])}> where VOC has <annotation>")
    sides = [number(root.findtext(f"size/{word}")) for word in ("width", "height")]
    known = all(side > 0 and side.is_integer() for side in sides)
    objects = [_marked(one, f"{display_name(path)}: object {row}") for row, one in enumerate(root.findall("object"), 1)]
    return Drawn(path, (root.findtext("filename") or "").strip(), (int(sides[0]), int(sides[1])) if known else None,
                 objects)


def _marked(node: ElementTree.Element, place: str) -> Marked:
    name = clean(node.findtext("name") or "")
    edges: Edges = tuple(number(node.findtext(f"bndbox/{word}")) for word in CORNERS)  # type: ignore[assignment]
    wrong = "" if name else "no name of a class"
    if node.find("bndbox") is None:
        wrong = "no bndbox"
    elif not all(map(math.isfinite, edges)):
        wrong = f"{', '.join(CORNERS)} are not four numbers"
    elif edges[0] == edges[2] or edges[1] == edges[3]:
        wrong = "no area"       # though VOC includes the last pixel: nobody draws an object of one
    flag = (node.findtext("difficult") or "0").strip().lower()
    return Marked(name, edges, place, flag not in ("", "0", "false"), wrong)


def _from_zero(one: Marked) -> Marked:
    """Return an object with its left and upper edge counted from 0, and the others as where the last pixel ends."""
    left, top, right, bottom = one.edges
    return replace(one, edges=(left - 1, top - 1, right, bottom))

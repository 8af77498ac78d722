"""yolo: a line of text for each object, in a file for each image, and a YAML file that says where images lie."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import DataError, SpaceError
from ...io import yaml_tree
from ..decode import Bad, display_name, printable
from ..fitting import Edges
from ..settings import Settings
from .annotated import Annotated, Marked, Said, listed as listed_images, number
from .entering import entered
from .files import Listing, closed, files_under, images_of, innermost, is_picture, visible
from .naming import relative, told_splits_of
from .raw import MORE_WORDS, Raw, clean

YAML = (".yaml", ".yml")
CLASSES = ("classes.txt", "obj.names", "labels.txt")
IMAGES = "images"
LABELS = "labels"
OVER = 0.01         # of an image's side, that centers and sizes may be larger than the whole by rounding
POLYGON = 7         # words of a line from which they are a class and the corners of an outline


def read(location: str, settings: Settings) -> Raw:
    """Decode annotated images, or leave them there where memory does not hold them.

    Raises:
        DataError: When images, labels or names of classes are missing.
    """
    return images_of(listing(location, settings), settings)


def listing(location: str, settings: Settings) -> Listing:
    """List the images of a YOLO data set on the disk or in an archive; see `listed`.

    Raises:
        DataError: When images, labels or names of classes are missing.
    """
    return listed(entered(location), settings)


def listed(root: Path, settings: Settings) -> Listing:
    """List the images of a YOLO data set: its YAML file, the folder that holds it, or a folder with classes.txt.

    The labels of images/a/1.jpg are labels/a/1.txt, or else 1.txt beside it. An image without such a file is
    background, and that is told.

    Raises:
        DataError: When images, labels or names of classes are missing.
    """
    file = _description(root) if root.is_dir() else root
    root = file.parent
    if file.suffix.lower() in YAML:
        names, images = _described(file, settings)
    else:
        names = _numbered(_lines(file), display_name(file))
        images = _in_folders(root, settings)
    if not images:
        raise DataError(f"data.source: {display_name(root)} holds no images. images/*.jpg and labels/*.txt are needed.")
    reader = _Reader(names)
    found = [Annotated(image, split, [*reader.objects(image)], shares=True) for image, split in images.items()]
    if not reader.read:
        image = next(iter(images))
        raise DataError(f"data.source: none of {len(images):,} images has labels, such as {display_name(image)} in "
                        f"{display_name(_beside(image)[0])}. An empty file says that an image is background.")
    return listed_images(found, root, settings, Said(
        bad=[*reader.bad, *_without_image(images, reader.read)], notices=reader.notices(),
        order=tuple(names.values())))


def _description(root: Path) -> Path:
    """Return the YAML file of a folder, or else its list of classes.

    Raises:
        DataError: When there is none, or there are several.
    """
    root = innermost(root)
    there = [path for path in visible(root) if path.is_file()]
    described = [path for path in there if path.suffix.lower() in YAML]
    listed_in = [path for path in there if path.name in CLASSES]
    found = [path for path in described if path.stem == "data"] or described or listed_in
    if len(found) != 1:
        what = f"several, {', '.join(display_name(path.name) for path in found)}" if found else "neither"
        raise DataError(f"data.source: {display_name(root)} needs data.yaml or classes.txt and has {what}. Name the "
                        "file: yolo:FILE.")
    return found[0]


def _described(file: Path, settings: Settings) -> tuple[dict[int, str], dict[Path, str]]:
    """Return the names of the classes and the split of each image that a YAML file says.

    Raises:
        DataError: When it is damaged, or names what is not there.
    """
    where = display_name(file)
    try:
        told = yaml_tree.parse(file.read_bytes(), where).value
    except SpaceError as error:
        raise DataError([f"data.source: {line}" for line in error.problems]) from error
    if not isinstance(told, dict) or "names" not in told or not {*told} & {*MORE_WORDS}:
        has = ", ".join(map(str, told))[:80] if isinstance(told, dict) else "no mapping"
        raise DataError(f"data.source: {where} has {has or 'nothing'}; names, train and val are needed.")
    names = _names(told, where)
    base = file.parent / str(told.get("path") or "")
    base = base if base.is_dir() else file.parent       # `path` is often that of the machine it was written on
    images: dict[Path, str] = {}
    words = settings.splits.by_word() if settings.splits else MORE_WORDS
    for word, split in words.items():
        given = told.get(word) or []
        for place in given if isinstance(given, list) else [given]:
            for image in _images(base, str(place), f"{where}: {word}"):
                if images.setdefault(image, split) != split:
                    raise DataError(f"data.source: {where}: {display_name(image)} is in {images[image]} and in {split}."
                                    " Take it out of one.")
    if "train" not in images.values():
        raise DataError(f"data.source: {where} has no train images. Name their folder: train: images/train.")
    return names, images


def _names(told: Mapping[str, Any], where: str) -> dict[int, str]:
    """Return the names of the classes by number: of a list, or of a mapping.

    Raises:
        DataError: When numbers or names are none, or twice, or not as many as `nc` says.
    """
    given = told["names"]
    if isinstance(given, dict) and all(str(key).isdecimal() for key in given):
        names = {int(key): clean(name) for key, name in sorted(given.items(), key=lambda pair: int(pair[0]))}
    elif isinstance(given, list) and given:
        names = _numbered(list(map(str, given)), where)
    else:
        raise DataError(f"data.source: {where}: names must be a list of classes, or a mapping of their numbers.")
    count = told.get("nc")
    if count is not None and count != len(names):
        raise DataError(f"data.source: {where}: nc is {count}, and names has {len(names)}. Mend one of them.")
    if len({*names.values()}) < len(names):
        twice = next(name for name in names.values() if [*names.values()].count(name) > 1)
        raise DataError(f"data.source: {where}: names has {twice!r} twice. Give each class its own.")
    return names


def _numbered(lines: Sequence[str], where: str) -> dict[int, str]:
    names = {number: clean(name) for number, name in enumerate(line for line in lines if line.strip())}
    if not names or len({*names.values()}) < len(names):
        raise DataError(f"data.source: {where} must name each class once, a line each.")
    return names


def _images(base: Path, place: str, where: str) -> Iterator[Path]:
    """Yield the images of a folder, or of a text file that lists them.

    Raises:
        DataError: When there is none of the two.
    """
    inner = place
    while inner.startswith("../") and not (base / inner).exists():       # as some export it, one folder too high
        inner = inner[3:]
    path = base / inner
    if path.is_dir():
        yield from (one for one in files_under(path, base)[0] if is_picture(one.name))
    elif path.is_file() and path.suffix.lower() == ".txt":
        lines = _lines(path)
        yield from (path.parent / line.strip() if line.strip().startswith("./") else base / line.strip()
                    for line in lines if line.strip())
    else:
        raise DataError(f"data.source: {where}: {display_name(base / place)}: no such folder, nor a .txt with a path a "
                        "line.")


def _lines(path: Path) -> list[str]:
    """Return the lines of a file.

    Raises:
        DataError: When it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except OSError as error:
        closed(error)


def _in_folders(root: Path, settings: Settings) -> dict[Path, str]:
    """Return the split of each image below a folder, as the names of folders say it."""
    paths = [path for path in files_under(root, root)[0] if is_picture(path.name)]
    splits = told_splits_of([relative(path.parent, root) for path in paths], settings)
    return {path: split for path in paths if (split := splits[relative(path.parent, root)])}


def _beside(image: Path) -> list[Path]:
    """Return where the labels of an image may be: below the folder of labels, or beside it."""
    parts = list(image.parts)
    name = image.with_suffix(".txt")
    places = [row for row, part in enumerate(parts[:-1]) if part == IMAGES]
    if not places:
        return [name]
    head = parts[:places[-1]]
    above = image.parents[len(parts) - 1 - len(head)]
    return [above.joinpath(LABELS, *parts[places[-1] + 1:-1], name.name), name]


def _without_image(images: Mapping[Path, str], read: Sequence[Path]) -> list[Bad]:
    """Return the files of labels that lie beside those that were read and have no image."""
    known = {*read, *(path for image in images for path in _beside(image))}
    folders = {path.parent for path in read}
    return [Bad(printable(path), "no image of its name") for folder in sorted(folders) if folder.name != IMAGES
            for path in sorted(folder.iterdir())
            if path.suffix == ".txt" and path not in known and path.name not in CLASSES and _is_label(path)]


def _is_label(path: Path) -> bool:
    """Return whether a text file begins as labels do."""
    words = path.read_bytes()[:200].split()
    return len(words) >= 5 and all(not math.isnan(number(word.decode("latin-1"))) for word in words[:5])


class _Reader:
    """Reads the labels of one image after the other, and remembers what there was."""

    def __init__(self, names: Mapping[int, str]):
        self._names = names
        self._silent: list[Path] = []
        self._outlines = 0
        self.read: list[Path] = []
        self.bad: list[Bad] = []

    def objects(self, image: Path) -> Iterator[Marked]:
        """Yield the objects of an image."""
        file = next((path for path in _beside(image) if path.is_file()), None)
        if file is None:
            self._silent.append(image)
            return
        self.read.append(file)
        for row, line in enumerate(_lines(file)):
            if line.strip():
                yield self._marked(line.split(), f"{display_name(file)}:{row + 1}")

    def notices(self) -> list[str]:
        """Return what was understood, a line each."""
        lines = []
        if self._silent:
            lines.append(f"{len(self._silent):,} images without a file of labels count as background, such as "
                         f"{display_name(self._silent[0])}")
        if self._outlines:
            lines.append(f"{self._outlines:,} objects are outlines, of which the box around them is taken")
        return lines

    def _marked(self, words: Sequence[str], place: str) -> Marked:
        label = number(words[0])
        values = [number(word) for word in words[1:]]
        edges: Edges = (math.nan,) * 4
        wrong = ""
        if len(words) != 5 and (len(words) < POLYGON or len(words) % 2 == 0):
            wrong = f"{len(words)} words where class, x, y, width and height are needed"
        elif not all(map(math.isfinite, values)):
            wrong = "a word is no finite number"
        elif label not in self._names:
            wrong = f"of class {printable(words[0][:20])}, which names does not have"
        elif max(values) > 1 + OVER:
            wrong = "a number above 1: centers, widths and heights are shares of the image's sides"
        else:
            edges = self._edges(values)
        return Marked(self._names.get(int(label), "") if math.isfinite(label) else "", edges, place, wrong=wrong)

    def _edges(self, values: Sequence[float]) -> Edges:
        if len(values) > 4:
            self._outlines += 1
            return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        x, y, width, height = values
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

"""Annotated: images and the objects that files of annotations say are in them, mended or set aside with a reason."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...core.traits import DataTrait
from ...errors import DataError
from ...tasks import find as find_task
from ..decode import Bad, display_name, each, printable
from ..fitting import Edges
from ..look import Header, header_of
from ..settings import Settings
from ..storage import Stored
from .archive_paths import Inside
from .boxes import Boxes
from .files import Entry, Listing
from .grouping import by_pattern
from .raw import refuse_many
from .table_files import below

SAMPLE = 20         # files by whose names the folder of images is found
ROUNDING = 1.0      # pixels over the border that are cut without a word: files hold rounded numbers


@dataclass(frozen=True)
class Marked:
    """One object as it is written.

    Args:
        label: Name of its class.
        edges: Left, top, right and bottom, in pixels, or in shares of the image's sides.
        place: Where it is written.
        ignored: Whether it is to be neither found nor missed: COCO's crowds, VOC's difficult objects.
        wrong: Why it cannot be used, where that is known already.
    """

    label: str
    edges: Edges
    place: str
    ignored: bool = False
    wrong: str = ""


@dataclass(frozen=True)
class Annotated:
    """One image and what is written of it.

    Args:
        path: Of its file.
        split: `train`, `validation` or `test`.
        objects: What is in it; none: it is background.
        size: Width and height that are written; None where none are.
        shares: Whether edges are shares of the image's sides.
        group: Its group, if it has one.
    """

    path: Path | Stored
    split: str
    objects: Sequence[Marked]
    size: tuple[int, int] | None = None
    shares: bool = False
    group: str = ""


@dataclass(frozen=True)
class Said:
    """What a source has to say beside its images; see `Listing`."""

    skipped: Sequence[Bad] = ()
    bad: Sequence[Bad] = ()
    notices: Sequence[str] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()


def listed(images: Sequence[Annotated], root: Path, settings: Settings, said: Said = Said()) -> Listing:
    """Return the files of annotated images; of each the header is read, so that its boxes can be checked.

    Boxes that reach over the border are cut there and those that are written twice count once. Those without an area,
    outside of their image or of no class are set aside; more of them than `data.max_bad` allows are refused. Where the
    task wants labels alone, an image has those of its objects, each once.

    Args:
        images: All of the source.
        root: To which paths are relative that `data.group.pattern` is searched in.
        settings: With task, group and max_bad.
        said: What else the source has to say.

    Raises:
        DataError: When too many boxes cannot be used.
    """
    groups = _groups(images, root, settings)
    mender = _Mender()
    entries: list[Entry] = []
    bad = list(said.bad)
    places = [image.path.stored() if isinstance(image.path, Inside) else image.path for image in images]
    for image, place, group, header in zip(images, places, groups, each(header_of, places), strict=True):
        if isinstance(header, Bad):
            bad.append(header)
        elif image.size not in (None, header.upright, header.stored):
            bad.append(Bad(printable(image.path), "its annotation is of {} x {} pixels, the file has {} x {}".format(
                *(image.size or ()), *header.upright)))
        else:
            names, boxes = mender.mended(image, header)
            entries.append(Entry(place, names, image.split, group, boxes))
    mender.require(settings.max_bad)
    entries, dropped = _shown(entries)
    boxed = DataTrait.BOXES in find_task(settings.task).brings
    return Listing(entries if boxed else [_labels_alone(entry) for entry in entries],
                   (*said.skipped, *mender.skipped()), tuple(bad), (*said.notices, *mender.notices(), *dropped),
                   said.origin, said.order)


def _groups(images: Sequence[Annotated], root: Path, settings: Settings) -> list[str]:
    if not settings.group or settings.group.pattern is None:
        return [image.group for image in images]
    paths = [Path(str(image.path)) for image in images]
    names = [(path.relative_to(root) if path.is_relative_to(root) else path).as_posix() for path in paths]
    entries = [Entry(image.path, (), image.split) for image in images]
    return [entry.group for entry in by_pattern(entries, names, settings.group.pattern)]


def _labels_alone(entry: Entry) -> Entry:
    return replace(entry, labels=tuple(dict.fromkeys(entry.labels)), boxes=None)


def _shown(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """Return the entries without what is ignored of classes of which no training image shows anything else."""
    counted = {name for entry in entries if entry.split == "train" and entry.boxes
               for name, ignored in zip(entry.labels, entry.boxes.ignored, strict=True) if not ignored}
    lost = Counter[str]()
    kept = [_without_ignored(entry, counted, lost) for entry in entries]
    told = ", ".join(sorted(lost)[:5])
    return kept, [f"all objects of {told} in train are ignored, so that they are no classes"] if lost else []


def _without_ignored(entry: Entry, counted: Collection[str], lost: Counter[str]) -> Entry:
    if entry.boxes is None or not any(entry.boxes.ignored):
        return entry
    rows = [row for row, (name, ignored) in enumerate(zip(entry.labels, entry.boxes.ignored, strict=True))
            if not ignored or name in counted]
    lost.update(name for row, name in enumerate(entry.labels) if row not in rows)
    return replace(entry, labels=tuple(entry.labels[row] for row in rows), boxes=entry.boxes.only(rows))


class _Mender:
    """Mends the boxes of one image after the other, and remembers what it did."""

    def __init__(self) -> None:
        self._total = 0
        self._wrong: list[Bad] = []
        self._done: dict[str, list[str]] = {}

    def mended(self, image: Annotated, header: Header) -> tuple[tuple[str, ...], Boxes]:
        """Return the labels and boxes of an image that can be used."""
        size = header.upright
        sideways = image.size == header.stored != size
        seen = dict[tuple[str, Edges], bool]()
        for one in image.objects:
            self._total += 1
            edges = _in_pixels(one.edges, size) if image.shares else one.edges
            reason = one.wrong or _wrong(header.turned(edges) if sideways else edges, size)
            if reason:
                self._wrong.append(Bad(one.place, reason))
                continue
            cut = self._cut(one, header.turned(edges) if sideways else edges, size)
            if (one.label, cut) in seen:
                self._note("written twice, counted once", one)
            seen.setdefault((one.label, cut), one.ignored)
            if one.ignored:
                self._note("ignored, being crowds or difficult, neither right nor wrong to find", one)
        edges_of_all = np.array([edges for _, edges in seen], float).reshape(-1, 4)
        return tuple(name for name, _ in seen), Boxes(edges_of_all, tuple(seen.values()), size)

    def _cut(self, one: Marked, edges: Edges, size: tuple[int, int]) -> Edges:
        """Return edges cut at the image's border."""
        width, height = size
        left, top, right, bottom = edges
        cut = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        if max(abs(before - after) for before, after in zip(edges, cut, strict=True)) > ROUNDING:
            self._note("cut at the border of their image", one)
        return cut

    def _note(self, what: str, one: Marked) -> None:
        self._done.setdefault(what, []).append(one.place)

    def require(self, limit: float) -> None:
        """Refuse the source where more than a share of the boxes cannot be used.

        Raises:
            DataError: Naming the first few.
        """
        refuse_many(self._wrong, self._total, limit, "boxes cannot be used")

    def skipped(self) -> list[Bad]:
        """Return what was set aside: of each kind the first, and how many there are."""
        kinds: dict[str, list[str]] = {}
        for one in self._wrong:
            kinds.setdefault(one.reason, []).append(one.path)
        return [Bad(places[0], f"{_count(places)}: {reason}") for reason, places in kinds.items()]

    def notices(self) -> list[str]:
        """Return what was done, a line each."""
        return [f"{what}: {_count(places)}, such as {places[0]}" for what, places in self._done.items()]


def _count(places: Sequence[str]) -> str:
    return f"{len(places):,} box{'' if len(places) == 1 else 'es'}"


def _in_pixels(edges: Edges, size: tuple[int, int]) -> Edges:
    width, height = size
    left, top, right, bottom = edges
    return left * width, top * height, right * width, bottom * height


def _wrong(edges: Edges, size: tuple[int, int]) -> str:
    """Return why a box cannot be used; nothing where it can."""
    width, height = size
    left, top, right, bottom = edges
    if not all(map(math.isfinite, edges)):
        return "an edge is no finite number"
    if right < left or bottom < top:
        return "its right or lower edge lies before the left or upper one"
    if right == left or bottom == top:
        return "no area"
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return "outside of its image"
    return ""


def number(value: object) -> float:
    """Return what is written as a number; not a number where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def folder_of(names: Sequence[str], folders: Iterable[Path]) -> Path | None:
    """Return the folder from which most of a sample of files is found, the first of several; None where none is."""
    sample = [names[index * len(names) // SAMPLE] for index in range(SAMPLE)] if len(names) > SAMPLE else names
    best: Path | None = None
    most = 0
    for folder in folders:
        count = sum(_is_file(folder / name) for name in sample)
        if count > most:
            best = folder
            most = count
        if count == len(sample):
            break
    return best


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):       # a zero in a name, or a very long one
        return False


def around(folder: Path, root: Path) -> list[Path]:
    """Return the folders in which images of annotations in a folder may lie, the likeliest first."""
    near = [folder, folder / "images", folder.parent] if folder != root else [folder, folder / "images"]
    return list(dict.fromkeys([*near, *below(folder), *(below(root) if root != folder else ())]))


def missing_images(what: Path, first: str, mend: str) -> DataError:
    """Return the refusal of annotations of which no image is there."""
    return DataError(f"data.source: none of the images that {display_name(what)} names is there, such as "
                     f"{display_name(first)}. {mend}")

"""Layout: which folders below a root are splits and which are classes, by what they hold before how they are called."""
from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import DataError
from ..decode import display_name
from ..settings import SPLITS, Settings, Splits
from .archive_paths import Inside
from .files import closed, hidden, is_folder, is_picture, leads, no_image, visible
from .raw import MORE_WORDS

MASKS = frozenset({"mask", "masks", "annotation", "annotations", "labels", "segmentation", "segmentations",
                   "ground_truth", "groundtruth", "gt", "seg"})
IMAGES = frozenset({"image", "images", "img", "imgs", "photos", "pictures", "jpegimages"})
DEPTH = 12              # of folders that are looked into for a first image
MOST = 4                # names that are listed
WORD = re.compile(r"[^a-z]+")


@dataclass(frozen=True)
class Place:
    """A folder whose images are of one split, and of the class called `name`, or else as the folder that each is in."""

    split: str
    path: Path
    name: str | None


@dataclass(frozen=True)
class Layout:
    """What the folders below a root are.

    Args:
        places: In the order of their images.
        notices: What was left open and how it was understood, a line each.
        origin: Where each split comes from, in words.
    """

    places: Sequence[Place]
    notices: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)


def understood(root: Path, settings: Settings) -> Layout:
    """Say what the folders below a root are.

    Raises:
        DataError: With what was seen and the key that decides, where they may be one thing or another.
    """
    return _Looking(root, settings).layout()


class _Looking:
    """Looks into folders, each one once."""

    def __init__(self, root: Path, settings: Settings):
        self._root = root
        self._settings = settings
        self._notices: list[str] = []
        self._origin: dict[str, str] = {}
        self._known: dict[str, tuple[list[Path], bool]] = {}

    def layout(self) -> Layout:
        splits = self._told(self._settings.splits) if self._settings.splits else self._named()
        places: list[Place] = []
        for split in (name for name in SPLITS if name in splits):
            for folder in splits[split]:
                places += self._places(split, folder)
        return Layout(places, tuple(self._notices), self._origin)

    def _told(self, wanted: Splits) -> dict[str, list[Path]]:
        """Return the folders that the user names.

        Raises:
            DataError: When one is not there.
        """
        folders = {path.name.lower(): path for path in _folders(self._root)}
        words = wanted.by_word()
        missing = [word for word in words if word not in folders]
        if missing:
            raise DataError(f"data.splits: {display_name(self._root)} has no folder {', '.join(missing)}; its folders "
                            f"are {_listed(folders.values())}. Name some of them.")
        splits: dict[str, list[Path]] = {}
        for name, folder in folders.items():
            split = words.get(name, "" if wanted.train else "train")
            if split and (name in words or self._holds(folder)):
                splits.setdefault(split, []).append(self._inner(folder))
        return self._from(splits)

    def _named(self) -> dict[str, list[Path]]:
        """Return the folders that are splits by their names; the root is train where there are none."""
        folders = _folders(self._root)
        named: dict[str, list[Path]] = {}
        for path in folders:
            if split := MORE_WORDS.get(path.name.lower()):
                named.setdefault(split, []).append(path)
        everything = bool(named) and sum(map(len, named.values())) == len(folders)
        if "train" in named and (everything or _folders(named["train"][0])):
            self._require_one_each(named)
            self._require_no_strangers(named, folders)
            return self._from({split: [self._inner(path) for path in paths] for split, paths in named.items()})
        if everything:
            raise DataError(f"data.source: {display_name(self._root)} has "
                            f"{', '.join(display_name(path.name) for path in folders)} but no train folder. Name it: "
                            "data.splits: {train: FOLDER}.")
        return self._by_part_of_the_name() or {"train": [self._root_of_classes()]}

    def _require_one_each(self, named: Mapping[str, Sequence[Path]]) -> None:
        for split, paths in named.items():
            if len(paths) > 1:
                raise DataError(f"data.source: {' and '.join(map(display_name, paths))} are both the {split} split. "
                                "Keep one, or say which are what: data.splits.")

    def _require_no_strangers(self, named: Mapping[str, Sequence[Path]], folders: Sequence[Path]) -> None:
        """Refuse a folder beside the splits that holds the same folders and is called otherwise."""
        known = [path for paths in named.values() for path in paths]
        classes = {path.name for path in self._deeper(self._inner(named["train"][0]))}
        for path in folders:
            inner = {one.name for one in self._deeper(self._inner(path))}
            if path not in known and path.name.lower() not in MASKS and len(inner & classes) * 2 > len(inner):
                said = [f"{split}: {display_name(named[split][0].name)}" for split in SPLITS if split in named]
                free = [f"{split}: {display_name(path.name)}" for split in ("validation", "test") if split not in named]
                left_out = f"leave it out: data.splits: {{{', '.join(said)}}}"
                mend = f"Say which split it is: data.splits: {{{', '.join([*said, *free[:1]])}}}; or {left_out}" if (
                    free) else left_out.capitalize()
                raise DataError(f"data.source: {display_name(path)} holds the same folders as "
                                f"{display_name(named['train'][0].name)} does. {mend}.")

    def _by_part_of_the_name(self) -> dict[str, list[Path]]:
        """Return folders such as seg_train and seg_test that hold the same folders; nothing where there are none."""
        tall = {path: self._inner(path) for path in self._deeper(self._root)
                if not self._pictures(path) and self._deeper(path)}
        words = {path: {MORE_WORDS[word] for word in WORD.split(path.name.lower()) if word in MORE_WORDS}
                 for path in tall}
        if any(len(found) != 1 for found in words.values()):
            return {}
        splits = {split: self._inner(path) for path, found in words.items() for split in found}
        if len(splits) < len(tall) or "train" not in splits or not self._same(list(splits.values())):
            return {}
        return self._from({split: [path] for split, path in splits.items()})

    def _from(self, splits: dict[str, list[Path]]) -> dict[str, list[Path]]:
        self._origin |= {split: f"folder {_listed(paths, self._root)}" for split, paths in splits.items()}
        return splits

    def _root_of_classes(self) -> Path:
        """Return the root.

        Raises:
            DataError: When the folder of the classes is another one.
        """
        inner = self._inner(self._root)
        holding = self._deeper(self._root)
        images = [path for path in holding if path.name.lower() in IMAGES]
        masks = [path for path in holding if path.name.lower() in MASKS]
        if images and len(images) + len(masks) == len(holding) > 1:
            inner = images[0] if self._deeper(images[0]) else inner
            mend = f"Did you mean image_folder:{display_name(inner)}?" if inner != self._root else (
                "Put each class in a folder, or the labels in a table, csv:PATH.")
            raise DataError(f"data.source: {display_name(self._root)} holds {_listed(holding)}, which are no classes. "
                            f"{mend}")
        if inner != self._root and self._settings.classes is None:
            raise DataError(f"data.source: the folders lie deeper: {display_name(self._root)} holds "
                            f"{display_name(inner.relative_to(self._root))} alone, and in it "
                            f"{_listed(self._deeper(inner))}. Did you mean image_folder:{display_name(inner)}?")
        return self._root

    def _places(self, split: str, folder: Path) -> Iterator[Place]:
        """Yield the classes of a split."""
        classes = _folders(folder)
        if not classes:
            raise DataError(f"data.source: {display_name(folder)} holds no folder for a class; CLASS/*.jpg is needed "
                            f"in it.{self._mend(split, folder)}")
        if self._settings.classes == "leaf":
            yield Place(split, folder, None)
            return
        holding = [path for path in classes if self._holds(path)]
        if len(holding) < len(classes):
            empty = [path for path in classes if path not in holding]
            self._notices.append(f"no image lies in {_listed(empty)} of {display_name(folder)}, which are no classes "
                                 "therefore")
        deep = [path for path in holding if self._deeper(path)]
        if self._settings.classes is None and deep == holding and all(map(self._hollow, deep)):
            below = self._splits_below(split, holding)
            if not below:
                self._refuse_deep(folder, holding)
            yield from below
            return
        if deep and self._settings.classes is None:
            self._notices.append(f"{len(deep)} of {len(holding)} class folders in {display_name(folder)} hold folders, "
                                 f"such as {deep[0].name}/{self._deeper(deep[0])[0].name}; their images are of the "
                                 "class above, and data.classes: leaf makes each folder a class")
        for path in holding:
            yield Place(split, path, path.name)

    def _hollow(self, path: Path) -> bool:
        """Return whether a folder holds several folders and no image of its own."""
        return not self._pictures(path) and len(self._deeper(path)) > 1

    def _splits_below(self, split: str, classes: Sequence[Path]) -> list[Place]:
        """Return the places of CLASS/train and CLASS/test; none where the folders in classes are no splits."""
        words = {path: MORE_WORDS.get(path.name.lower(), "") for one in classes for path in self._deeper(one)}
        if split != "train" or self._origin or not {"train"} < {*words.values()} <= {*SPLITS}:
            return []
        self._origin |= {name: f"folders {name} in the classes" for name in SPLITS if name in words.values()}
        return [Place(word, path, path.parent.name) for word in SPLITS for path, found in words.items()
                if found == word]

    def _refuse_deep(self, folder: Path, classes: Sequence[Path]) -> None:
        leaves = self._deeper(classes[0])
        where = (f"data.source: the folders lie deeper: in {display_name(folder)}, {_listed(classes)} hold no images "
                 "but")
        if self._same(classes):
            splits = (f"If {_listed(classes)} are splits, say which: data.splits: {{test: "
                      f"{display_name(classes[-1].name)}}}, the others are train. " if folder == self._root else "")
            raise DataError(f"{where} the same folders, {_listed(leaves)}. {splits}If {_listed(classes)} are classes, "
                            f"set data.classes: first; if {_listed(leaves)} are, leaf.")
        raise DataError(f"{where} folders, such as {display_name(leaves[0].relative_to(folder))}. Set data.classes: "
                        f"first for classes such as {display_name(classes[0].name)}, leaf for such as "
                        f"{display_name(leaves[0].name)}, or name the folder of the classes: "
                        f"image_folder:{display_name(classes[0])}.")

    def _mend(self, split: str, folder: Path) -> str:
        """Return what to do where images lie without a folder for their class."""
        if split != "train":
            return f" Without {display_name(folder.name)}, {split} is split off from train."
        tables = [path for path in visible(self._root) if path.suffix.lower() in (".csv", ".tsv")]
        return f" Are the labels in csv:{display_name(tables[0])}?" if tables else (
            " Labels in a table are read as csv:PATH.")

    def _same(self, folders: Sequence[Path]) -> bool:
        """Return whether folders hold folders of the same names: the rarer half of them, at least."""
        names = [{path.name for path in self._deeper(folder)} for folder in folders]
        return len(folders) > 1 and all(len(names[0] & other) * 2 > min(len(names[0]), len(other)) for other in names)

    def _inner(self, folder: Path) -> Path:
        """Return the folder that the only folder in a folder leads to, if that holds several."""
        inner = folder
        while not self._pictures(inner) and len(self._deeper(inner)) == 1:
            inner = self._deeper(inner)[0]
        return inner if self._hollow(inner) else folder

    def _deeper(self, folder: Path) -> list[Path]:
        """Return the folders in a folder that hold images, masks left out."""
        inner = self._look(folder)[0]
        if folder == self._root:
            return inner
        return [path for path in inner if path.name.lower() not in MASKS] or inner

    def _pictures(self, folder: Path) -> bool:
        return self._look(folder)[1]

    def _look(self, folder: Path) -> tuple[list[Path], bool]:
        """Return the folders in a folder that hold images, and whether it holds some itself."""
        folders, pictures = self._inside(folder)
        return [path for path in folders if self._holds(path)], pictures

    def _inside(self, folder: Path) -> tuple[list[Path], bool]:
        """Return the folders in a folder, sorted, and whether it holds an image itself."""
        key = str(folder)
        if key not in self._known:
            self._known[key] = _inside(folder)
        return self._known[key]

    def _holds(self, folder: Path, depth: int = DEPTH) -> bool:
        """Return whether a folder holds an image at any depth."""
        target = folder.resolve() if folder.is_symlink() else None
        if target and (target == self._root.resolve() or target in self._root.resolve().parents):
            return False
        folders, pictures = self._inside(folder)
        return pictures or (depth > 0 and any(self._holds(path, depth - 1) for path in folders))


def _folders(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if is_folder(path)]


def _inside(folder: Path) -> tuple[list[Path], bool]:
    """Return the folders in a folder, sorted, and whether a file in it may be an image."""
    if isinstance(folder, Inside):
        paths = visible(folder)
        return [path for path in paths if path.is_dir()], any(
            path.is_file() and not no_image(path.name) for path in paths)
    folders = []
    pictures = False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if leads(entry.is_dir):
                    folders += [Path(entry.path)] * (not hidden(entry.name))
                elif not pictures:
                    pictures = _may_be_image(entry)
    except OSError as error:
        closed(error)
    return sorted(folders), pictures


def _may_be_image(entry: os.DirEntry[str]) -> bool:
    return not hidden(entry.name) and not no_image(entry.name) and (is_picture(entry.name) or leads(entry.is_file))


def _listed(paths: Iterable[Path], root: Path | None = None) -> str:
    names = [display_name(path.relative_to(root) if root else path.name) for path in paths]
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more

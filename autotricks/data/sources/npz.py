"""npz: arrays in a NumPy archive."""
from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError
from ..decode import display_name, error_text
from ..labels import ordered
from ..memory import require
from ..settings import Settings
from .files import existing_file
from .raw import SPLIT_WORDS, Part, Raw, channels_last, clean, from_arrays, to_bytes

# Words for images, each with the one for labels that goes with it.
IMAGES = {"x": "y", "images": "labels", "image": "label", "imgs": "labels", "data": "targets"}
LABELS = frozenset(("y", "labels", "label", "targets", "target"))
CLASSES = "classes"
MAX_LISTED = 12


def read(location: str, settings: Settings) -> Raw:
    """Read x_train, y_train [, x_val, y_val] [, x_test, y_test] or x, y, and [, classes].

    They may also be called as MedMNIST calls them, train_images and train_labels. x is [N, H, W], [N, H, W, 1],
    [N, H, W, 3] or [N, D, H, W], numbers from 0 to 255, from 0 to 1 or of 16 bits; where one split is color, gray ones
    become color. y is [N] or [N, 1], whole numbers or text, or [N, C], 0 and 1, where each 1 is a label; with
    `classes`, the names by number, y is numbers into it or names of it. Pickled arrays are refused.

    Raises:
        DataError: When the archive is damaged, or an array is missing or of another kind.
    """
    path = existing_file(location)
    try:
        specs = headers(path)
        _measure(path, specs)
        pairs = _pairs(path, {name: shape for name, (shape, _) in specs.items()})
        wanted = {name for pair in pairs.values() for name in pair} | ({CLASSES} & {*specs})
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in wanted}
    except DataError:
        raise
    except Exception as error:  # what zipfile and NumPy stumble over in a damaged file is of many classes
        raise DataError(f"data.source: {display_name(path)} is not a NumPy archive that can be read: "
                        f"{error_text(error)}."
                        ) from error
    classes = class_names(arrays[CLASSES]) if CLASSES in arrays else None
    parts = {}
    settings = replace(settings, channels=settings.channels or _depth([arrays[x].shape for x, _ in pairs.values()]))
    images, notices = to_bytes({split: arrays.pop(x) for split, (x, _) in pairs.items()})
    for split, (_, y) in pairs.items():
        labels = labels_of(split, arrays.pop(y), len(images[split]) if images[split].ndim else 0, classes)
        parts[split] = Part(from_arrays(split, images.pop(split), settings), labels)
    return Raw(parts, classes, notices=notices)


def class_names(names: Iterable[object]) -> tuple[str, ...]:
    """Return the names of the classes, by number.

    Raises:
        DataError: When they are not in one row, one is empty, or two are the same.
    """
    listed: Any = names if isinstance(names, np.ndarray) else list(names)
    if np.ndim(listed) != 1 or not len(listed):
        raise DataError(f"data.source: classes is of shape {list(np.shape(listed))}; [C], a name for each class, is "
                        "needed.")
    cleaned = tuple(map(clean, listed))
    if "" in cleaned:
        raise DataError("data.source: one of the names in classes is empty. Name every class.")
    if len(set(cleaned)) < len(cleaned):
        raise DataError("data.source: two of the names in classes are the same.")
    return cleaned


def labels_of(split: str, labels: np.ndarray, count: int,
              classes: Sequence[str] | None) -> list[tuple[str, ...]]:
    """Return the names of the labels of each image.

    Args:
        split: For messages.
        labels: [N] or [N, 1], whole numbers or text; or [N, C], 0 and 1, where each 1 is a label.
        count: Number of images.
        classes: Names by number.

    Raises:
        DataError: When the labels are of another kind, number or range.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count:
        return _flagged(split, labels, classes)
    if labels.shape != (count,):
        raise DataError(f"data.source: {split} has {count} images and labels of shape {list(labels.shape)}; "
                        f"[{count}], or [{count}, C] of 0 and 1, is needed.")
    if labels.dtype.kind not in "iuUS":
        raise DataError(f"data.source: the labels of {split} are {labels.dtype}; whole numbers or text are needed.")
    if labels.dtype.kind in "US":
        names = [clean(label) for label in labels.tolist()]
        known = set(classes or names)
    else:
        names = [str(number) for number in labels.tolist()]
        known = {str(number) for number in range(len(classes))} if classes else set(names)
    strange = ordered(set(names) - known)
    if strange:
        raise DataError(f"data.source: {split} has the label {strange[0]!r}; classes has {len(known)} names and "
                        f"not this one.")
    numbered = classes and labels.dtype.kind in "iu"
    return [(classes[int(name)] if classes and numbered else name,) for name in names]


def _flagged(split: str, flags: np.ndarray, classes: Sequence[str] | None) -> list[tuple[str, ...]]:
    """Return the names of the classes at which each row of flags, [N, C], has a 1."""
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise DataError(f"data.source: the labels of {split} are of shape {list(flags.shape)} and hold other than 0 "
                        "and 1; 1 where an image is of the class, or [N] with the number of its class, is needed.")
    if classes and len(classes) != flags.shape[1]:
        raise DataError(f"data.source: the labels of {split} are of shape {list(flags.shape)}; classes has "
                        f"{len(classes)} names.")
    names = classes or [str(number) for number in range(flags.shape[1])]
    return [tuple(names[column] for column in row.nonzero()[0]) for row in flags]


def _measure(path: Path, specs: Mapping[str, tuple[tuple[int, ...], np.dtype]]) -> None:
    """Refuse, from the headers alone, pickled arrays and those that memory does not hold."""
    total = 0
    for name, (shape, dtype) in specs.items():
        if dtype.hasobject:
            raise DataError(f"data.source: {display_name(path)}: {display_name(name)} is a pickled array, which can "
                            "run code when it is read. Save it as numbers or text.")
        total += int(np.prod(shape, dtype=object)) * dtype.itemsize if _role(name) or name == CLASSES else 0
    require(total, f"the arrays in {display_name(path)}")


def _role(name: str) -> tuple[str, str] | None:
    """Return the word for images or labels in an array's name, and its split; None for a name of neither.

    Names are such as x, x_train, train_images or X_val.
    """
    words = name.lower().split("_")
    kinds = [word for word in words if word in IMAGES or word in LABELS]
    splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
    if len(kinds) != 1 or len(splits) > 1 or len(kinds) + len(splits) != len(words):
        return None
    return kinds[0], splits[0] if splits else "train"


def shape(location: str) -> tuple[int, int, int] | None:
    """Return the shape (D, H, W) of the training images, or None where the file does not say it."""
    try:
        path = existing_file(location)
        shapes = {name: shape for name, (shape, _) in headers(path).items()}
        pairs = _pairs(path, shapes)
        _, height, width, *_ = channels_last(shapes[pairs["train"][0]])
        return _depth([shapes[x] for x, _ in pairs.values()]), height, width
    except Exception:   # `read` says what is wrong
        return None


def _depth(shapes: Sequence[tuple[int, ...]]) -> int:
    """Return 3 where images of some split are color, 1 where all are gray."""
    return 3 if any(len(shape) == 4 and channels_last(shape)[3] == 3 for shape in shapes) else 1


def headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of each array by name; nothing else is read.

    Raises:
        Exception: Whatever zipfile and NumPy raise, and ValueError for what they would read as something else.
    """
    specs = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                          else np.lib.format.read_array_header_2_0)
                shape, _, dtype = header(file)
            name = member.removesuffix(".npy")
            if name == member or name in specs:
                raise ValueError(f"{member} is there twice, or is no .npy file")
            if not all(type(size) is int and size >= 0 for size in shape):
                raise ValueError(f"{member} is of shape {shape}")
            specs[name] = (shape, dtype)
    return specs


def _pairs(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by split."""
    roles = {name: role for name in shapes if (role := _role(name))}
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name, (word, split) in roles.items():
        found = images if word in IMAGES else labels
        if split in found:
            raise DataError(f"data.source: {display_name(path)} holds {found[split]} and {name}, both of {split}. Keep "
                            "one.")
        found[split] = name
    lacking = [name.lower().replace(roles[name][0], IMAGES[roles[name][0]]) for split, name in images.items()
               if split not in labels]
    if "train" not in images or lacking:
        held = [f"{display_name(name)} {list(shape)}" for name, shape in shapes.items()]
        more = f" and {len(held) - MAX_LISTED} more" if len(held) > MAX_LISTED else ""
        raise DataError(f"data.source: {display_name(path)} has no {lacking[0] if lacking else 'x_train'}; it holds "
                        f"{', '.join(held[:MAX_LISTED]) or 'nothing'}{more}. Needed are x_train and y_train, or x and "
                        "y, or train_images and train_labels.")
    return {split: (name, labels[split]) for split, name in images.items()}

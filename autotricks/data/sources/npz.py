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
from .raw import SPLIT_WORDS, Part, Raw, clean, from_arrays, one_each

IMAGES = {"x": "train", **{f"x_{word}": split for word, split in SPLIT_WORDS.items()}}


def read(location: str, settings: Settings) -> Raw:
    """Read x_train, y_train [, x_val, y_val] [, x_test, y_test] or x, y, and [, classes].

    x is uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]; where one split is color, gray ones become color. y is [N],
    whole numbers or text; with `classes`, the names by number, y is numbers into it or names of it. Pickled arrays are
    refused.

    Raises:
        DataError: When the archive is damaged, or an array is missing or of another kind.
    """
    path = existing_file(location)
    try:
        _measure(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if _wanted(name)}
    except DataError:
        raise
    except Exception as error:  # what zipfile and NumPy stumble over in a damaged file is of many classes
        raise DataError(f"data.source: {display_name(path)} is not a NumPy archive that can be read: "
                        f"{error_text(error)}."
                        ) from error
    classes = class_names(arrays["classes"]) if "classes" in arrays else None
    parts = {}
    settings = replace(settings, channels=settings.channels or _depth({x: arrays[x].shape for x in arrays}))
    for split, (x, y) in _pairs(path, arrays).items():
        names = label_names(split, arrays.pop(y), len(arrays[x]) if arrays[x].ndim else 0, classes)
        parts[split] = Part(from_arrays(split, arrays.pop(x), settings), one_each(names))
    return Raw(parts, classes)


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


def label_names(split: str, labels: np.ndarray, count: int, classes: Sequence[str] | None) -> list[str]:
    """Return the name of each label.

    Args:
        split: For messages.
        labels: [N], whole numbers or text.
        count: Number of images.
        classes: Names by number.

    Raises:
        DataError: When the labels are of another kind, number or range.
    """
    if labels.shape != (count,):
        raise DataError(f"data.source: {split} has {count} images and labels of shape {list(labels.shape)}; "
                        f"[{count}] is needed.")
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
    return [classes[int(name)] for name in names] if classes and labels.dtype.kind in "iu" else names


def _measure(path: Path) -> None:
    """Refuse, from the headers alone, pickled arrays and those that memory does not hold."""
    total = 0
    for name, (shape, dtype) in headers(path).items():
        if dtype.hasobject:
            raise DataError(f"data.source: {display_name(path)}: {display_name(name)} is a pickled array, which can "
                            "run code when it is read. Save it as numbers or text.")
        total += int(np.prod(shape, dtype=object)) * dtype.itemsize if _wanted(name) else 0
    require(total, f"the arrays in {display_name(path)}")


def _wanted(name: str) -> bool:
    return name.partition("_")[0] in ("x", "y") or name == "classes"


def shape(location: str) -> tuple[int, int, int] | None:
    """Return the shape (D, H, W) of the training images, or None where the file does not say it."""
    try:
        shapes = {name: shape for name, (shape, _) in headers(existing_file(location)).items()}
        _, height, width, *_ = shapes["x_train" if "x_train" in shapes else "x"]
    except Exception:   # `read` says what is wrong
        return None
    return _depth(shapes), height, width


def _depth(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return 3 where images of some split are color, 1 where all are gray."""
    return 3 if any(len(shape) == 4 and shape[3] == 3 for name, shape in shapes.items() if name in IMAGES) else 1


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


def _pairs(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by split."""
    pairs: dict[str, tuple[str, str]] = {}
    for x, split in IMAGES.items():
        if x in arrays and split in pairs:
            raise DataError(f"data.source: {display_name(path)} holds {pairs[split][0]} and {x}, both of {split}. Keep "
                            "one.")
        if x in arrays:
            pairs[split] = (x, f"y{x[1:]}")
    lacking = [y for _, y in pairs.values() if y not in arrays]
    if "train" not in pairs or lacking:
        raise DataError(f"data.source: {display_name(path)} has no {lacking[0] if lacking else 'x_train'}; it holds "
                        f"{', '.join(map(display_name, arrays)) or 'no x or y'}. Needed are x_train and y_train, or x "
                        "and y.")
    return pairs

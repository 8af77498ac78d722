"""npz: arrays in a NumPy archive."""
from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..labels import ordered
from ..memory import require
from ..settings import Settings
from .files import existing
from .raw import SPLIT_WORDS, Part, Raw, clean, from_arrays


def read(place: str, settings: Settings) -> Raw:
    """Read x_train, y_train [, x_val, y_val] [, x_test, y_test] or x, y, and [, classes].

    x is uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]. y is [N], whole numbers or text; with `classes`, the names by
    number, y is numbers into it or names of it. Pickled arrays are refused.

    Raises:
        DataError: When the archive is damaged, or an array is missing or of another kind.
    """
    path = existing(place)
    try:
        _measure(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if _wanted(name)}
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"data.source: {path} is not a NumPy archive that can be read: {error}.") from error
    classes = class_names(arrays["classes"]) if "classes" in arrays else None
    parts = {}
    for split, (x, y) in _pairs(path, arrays).items():
        names = label_names(split, arrays.pop(y), len(arrays[x]) if arrays[x].ndim else 0, classes)
        parts[split] = Part(from_arrays(split, arrays.pop(x), settings), names)
    return Raw(parts, classes)


def class_names(names: Iterable[object]) -> tuple[str, ...]:
    """Return the names of the classes, by number.

    Raises:
        DataError: When two are the same.
    """
    cleaned = tuple(clean(name) for name in names)
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
        names = [clean(label.decode("utf-8", "replace") if isinstance(label, bytes) else label)
                 for label in labels.tolist()]
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
            raise DataError(f"data.source: {path}: {name} is a pickled array, which can run code when it is read. Save "
                            "it as numbers or text.")
        total += int(np.prod(shape, dtype=object)) * dtype.itemsize if _wanted(name) else 0
    require(total, f"the arrays in {path}")


def _wanted(name: str) -> bool:
    return name.partition("_")[0] in ("x", "y") or name == "classes"


def shape(place: str) -> tuple[int, int, int] | None:
    """Return the shape (D, H, W) of the training images, or None where the file does not say it."""
    try:
        found = headers(Path(place).expanduser())
        _, *sides = found["x_train" if "x_train" in found else "x"][0]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return None
    return (sides[2] if len(sides) == 3 else 1, sides[0], sides[1]) if len(sides) in (2, 3) else None


def headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of each array by name; nothing else is read."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                header = (np.lib.format.read_array_header_1_0 if version == (1, 0)
                          else np.lib.format.read_array_header_2_0)
                shape, _, dtype = header(file)
            found[member.removesuffix(".npy")] = (shape, dtype)
    return found


def _pairs(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by split."""
    pairs = {split: (f"x_{word}", f"y_{word}") for word, split in SPLIT_WORDS.items() if f"x_{word}" in arrays}
    if "train" not in pairs and "x" in arrays:
        pairs["train"] = ("x", "y")
    lacking = [y for _, y in pairs.values() if y not in arrays]
    if "train" not in pairs or lacking:
        raise DataError(f"data.source: {path} has no {lacking[0] if lacking else 'x_train'}; it holds "
                        f"{', '.join(arrays) or 'no x or y'}. Needed are x_train and y_train, or x and y.")
    return pairs

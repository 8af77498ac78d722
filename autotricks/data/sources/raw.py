"""What a source hands over: images and label names by split."""
from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ...core.images import Images
from ...errors import DataError
from ..decode import Bad, display_name, printable, reshaped
from ..glance import Glance
from ..memory import require_images
from ..settings import Settings

SPLIT_WORDS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
               "test": "test"}
MORE_WORDS = {**SPLIT_WORDS, "training": "train", "dev": "validation", "testing": "test"}
MAX_LISTED = 3


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one split, uint8 [N, D, H, W], the names of each one's labels, and its group where there are some.

    How many labels an image may have is the task's to say: see `autotricks.data.labels.encode`.
    """

    images: Images
    labels: Sequence[tuple[str, ...]]
    groups: Sequence[str] | None = None


@dataclass(frozen=True, eq=False)
class Raw:
    """Everything a source has.

    Args:
        parts: By split: `train`, and `validation` and `test` where the source has them.
        classes: Names in the order of their numbers; None: sorted by name.
        bad: Files that were left out.
        skipped: What lies there and belongs to no class.
        notices: What the source left open and how it was understood, a line each.
        origin: Where each split comes from, in words.
        glance: What some of the files are.
    """

    parts: Mapping[str, Part]
    classes: tuple[str, ...] | None = None
    bad: tuple[Bad, ...] = ()
    skipped: tuple[Bad, ...] = ()
    notices: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    glance: Glance | None = None


def one_each(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the labels of images that have one each."""
    return [(name,) for name in names]


def plain_word(word: str) -> str:
    """Return a word in small letters without spaces around it, and 0 for 0.0: as what it is compared with another."""
    text = word.strip().lower()
    whole, _, rest = text.partition(".")
    return whole if whole.isdecimal() and rest and not rest.strip("0") else text


def clean(name: object) -> str:
    """Return a label's name without spaces around it, printable, composed: file systems store accents in two ways.

    A backslash is doubled, so that no other name is written like one with a character that is not printable.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)
    return printable(unicodedata.normalize("NFC", text.strip().replace("\\", r"\\")))


def from_arrays(split: str, images: np.ndarray, settings: Settings) -> Tensor:
    """Return an array of images as uint8 [N, D, H, W], resized as the settings say.

    Shapes:
        images: [N, H, W, D] or [N, H, W], uint8; D is 1 or 3.

    Raises:
        DataError: When it is of another type or shape.
    """
    if images.dtype != np.uint8:
        raise DataError(f"data.source: the images of {split} are {images.dtype}; uint8 from 0 to 255 is needed.")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        swapped = images.ndim == 4 and images.shape[1] in (1, 3)
        raise DataError(f"data.source: the images of {split} are of shape {list(images.shape)}; [N, H, W], "
                        f"[N, H, W, 1] or [N, H, W, 3] is needed.{' Transpose (0, 2, 3, 1).' if swapped else ''}")
    size = settings.size or images.shape[1]
    channels = settings.channels or images.shape[-1]
    require_images(len(images), (channels, size, settings.size or images.shape[2]))
    if settings.size or channels != images.shape[-1]:
        return stacked(list(reshaped(images, settings.size, channels, settings.fit)))
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def stacked(arrays: list[np.ndarray], depth: int | None = None) -> Tensor:
    """Return images [D, H, W] as one tensor and empty the list; gray ones become color where the depth is 3."""
    depth = depth or max(array.shape[0] for array in arrays)
    store = np.empty((len(arrays), depth, *arrays[0].shape[1:]), np.uint8)
    for index in reversed(range(len(arrays))):
        store[index] = arrays.pop()
    return torch.from_numpy(store)


def refuse_many(bad: Sequence[Bad], total: int, limit: float) -> None:
    """Refuse a source of which more files are bad than `limit` allows.

    Raises:
        DataError: Naming the first few.
    """
    if len(bad) <= limit * total:
        return
    few = "; ".join(f"{display_name(file.path)} ({file.reason})" for file in bad[:MAX_LISTED])
    more = f"; and {len(bad) - MAX_LISTED} more" if len(bad) > MAX_LISTED else ""
    raise DataError(f"data.source: {len(bad)} of {total} files cannot be read, {len(bad) / total:.2%} where "
                    f"data.max_bad allows {limit:.2%}: {few}{more}. Mend or remove them, or raise data.max_bad.")


"""What a source hands over: images and label names by split."""
from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from ...core.images import Images, joined
from ...errors import DataError
from ..decode import Bad, display_name, printable, reshaped
from ..fitting import sides
from ..glance import Glance
from ..memory import require_images
from ..settings import Settings
from ..tones import scaled

SPLIT_WORDS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
               "test": "test"}
MORE_WORDS = {**SPLIT_WORDS, "training": "train", "dev": "validation", "testing": "test"}
MAX_LISTED = 3
DEEPEST = 65535     # of 16 bits
DARK = 16.5         # of 255: a sixteenth, and a little more for what goes from 0 to 16


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one split, uint8 [N, D, H, W], the names of each one's labels, and its group where there are some.

    How many labels an image may have is the task's to say: see `autotricks.data.labels.encode`. Where labels have
    boxes, these are [K, 4] for an image of K labels: left, top, right and bottom in pixels of the image as it is here;
    and `ignored` says of each whether finding it is neither right nor wrong.
    """

    images: Images
    labels: Sequence[tuple[str, ...]]
    groups: Sequence[str] | None = None
    boxes: Sequence[Tensor] | None = None
    ignored: Sequence[Sequence[bool]] | None = None

    def flags(self) -> Sequence[Sequence[bool]]:
        """Return whether each label of each image is ignored."""
        return self.ignored if self.ignored is not None else [(False,) * len(names) for names in self.labels]

    def followed(self, other: Part) -> Part:
        """Return these images and then others, with what both say of theirs."""
        groups = None if self.groups is None or other.groups is None else [*self.groups, *other.groups]
        boxes = None if self.boxes is None or other.boxes is None else [*self.boxes, *other.boxes]
        ignored = None if self.ignored is other.ignored is None else [*self.flags(), *other.flags()]
        return Part(joined(self.images, other.images), [*self.labels, *other.labels], groups, boxes, ignored)


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
        images: [N, H, W, D], [N, H, W] or [N, D, H, W], uint8; D is 1 or 3.

    Raises:
        DataError: When it is of another type or shape.
    """
    if images.dtype != np.uint8:
        raise DataError(f"data.source: the images of {split} are {images.dtype}; numbers from 0 to 255 are needed.")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and channels_last(images.shape) != images.shape:
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise DataError(f"data.source: the images of {split} are of shape {list(images.shape)}; [N, H, W], "
                        "[N, H, W, 1], [N, H, W, 3] or [N, D, H, W] with D 1 or 3 is needed.")
    height, width = sides(settings.size) if settings.size else images.shape[1:3]
    channels = settings.channels or images.shape[-1]
    require_images(len(images), (channels, height, width))
    if settings.size or channels != images.shape[-1]:
        return stacked(list(reshaped(images, settings.size, channels, settings.fit)))
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of images with the channels last: [N, D, H, W] is told from [N, H, W, D] by a D of 1 or 3."""
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        return shape[0], shape[2], shape[3], shape[1]
    return tuple(shape)


def to_bytes(images: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Return images as uint8, all splits on one scale, and what was done to them.

    Truth values become 0 and 255, numbers from 0 to 1 with a point are multiplied by 255, those above 255 are divided
    by 257, as 16 bits are; others are rounded.

    Raises:
        DataError: When they are no such numbers.
    """
    kinds = {array.dtype for array in images.values() if array.size}
    if kinds <= {np.dtype(np.uint8)}:
        return dict(images), ()
    names = " and ".join(sorted(map(str, kinds)))
    if any(kind.kind not in "biuf" for kind in kinds) or len({kind.kind in "bf" for kind in kinds}) > 1:
        raise DataError(f"data.source: the images are {names}; numbers of one kind, from 0 to 255 or from 0 to 1, are "
                        "needed.")
    low = min(array.min() for array in images.values() if array.size)
    high = max(array.max() for array in images.values() if array.size)
    said = f"the images are {names} from {low:g} to {high:g}"
    if not 0 <= low <= high <= DEEPEST:
        mend = " Undo the normalization, or save them as they were." if low < 0 else ""
        raise DataError(f"data.source: {said}; 0 to 1, 0 to 255 or 0 to {DEEPEST} is needed.{mend}")
    if high > 255:
        scale = 255 / DEEPEST
        done = f"they were divided by {DEEPEST // 255}"
    elif high <= 1 and all(kind.kind in "bf" for kind in kinds):
        scale = 255.0
        done = "they were multiplied by 255"
    elif high <= 1:
        raise DataError(f"data.source: {said}: whole numbers that leave every image black. Save them as numbers from 0 "
                        "to 255.")
    else:
        scale = 1.0
        done = "they were rounded"
    if high * scale < DARK:
        done += ", which leaves them nearly black; scale them first"
    return {split: scaled(array, scale) for split, array in images.items()}, (f"{said}; {done}",)


def stacked(arrays: list[np.ndarray], depth: int | None = None) -> Tensor:
    """Return images [D, H, W] as one tensor and empty the list; gray ones become color where the depth is 3."""
    depth = depth or max(array.shape[0] for array in arrays)
    store = np.empty((len(arrays), depth, *arrays[0].shape[1:]), np.uint8)
    for index in reversed(range(len(arrays))):
        store[index] = arrays.pop()
    return torch.from_numpy(store)


def refuse_many(bad: Sequence[Bad], total: int, limit: float, what: str = "files cannot be read") -> None:
    """Refuse a source of which more is bad than `limit` allows; `what` says what that is.

    Raises:
        DataError: Naming the first few.
    """
    if len(bad) <= limit * total:
        return
    few = "; ".join(f"{', '.join(display_name(file.path) for file in same)} ({reason})"
                    for reason, same in groupby(bad[:MAX_LISTED], lambda file: file.reason))
    more = f"; and {len(bad) - MAX_LISTED} more" if len(bad) > MAX_LISTED else ""
    raise DataError(f"data.source: {len(bad)} of {total} {what}, {len(bad) / total:.2%} where "
                    f"data.max_bad allows {limit:.2%}: {few}{more}. Mend or remove them, or raise data.max_bad.")


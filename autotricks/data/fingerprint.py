"""What names a data set: a hash over pixels, labels and the membership of each split."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..core.dataset import Split
from ..core.images import Images
from ..core.targets import Targets
from .stream import Streamed


def digests(images: Images) -> list[bytes]:
    """Return the SHA-256 of the pixels of each image; `images` is uint8 [N, D, H, W]."""
    if isinstance(images, Streamed):
        return images.marks()
    assert isinstance(images, Tensor)
    return [hashlib.sha256(image.data).digest() for image in images.contiguous().numpy()]


def fingerprint(splits: Mapping[str, Split], marks: Mapping[str, Sequence[bytes]], classes: Sequence[str]) -> str:
    """Return the SHA-256 of a data set: shape, class names, and pixels, labels and boxes of each row of each split.

    Args:
        splits: By name; their order does not matter, the order of the rows does.
        marks: `digests` of the images of each split.
        classes: Names by label.
    """
    whole = hashlib.sha256()
    for name in classes:
        whole.update(name.encode("utf-8", "surrogateescape") + b"\0")
    for name, split in sorted(splits.items()):
        shape = ",".join(str(number) for number in split.images.shape)
        whole.update(f"\n{name} {shape}\n".encode())
        for mark, row in zip(marks[name], split.targets.listed(), strict=True):
            whole.update(mark + b"".join(label.to_bytes(4, "little") for label in row))
        whole.update(_boxes(split.targets))
    return whole.hexdigest()


def _boxes(targets: Targets) -> bytes:
    """Return how many boxes each image has, the edges and the label of each, and whether it is ignored."""
    if targets.boxes is None:
        return b""
    there = (targets.boxes[..., 2:] > targets.boxes[..., :2]).all(-1)       # the others are padding
    columns = (there.sum(1), targets.boxes[there], targets.labels[there], targets.shares[there] > 0)
    return b"".join(column.numpy().tobytes() for column in columns)


def shared(left: Sequence[bytes], right: Sequence[bytes]) -> int:
    """Return how many images of `right` are, pixel for pixel, in `left` too."""
    known = set(left)
    return sum(mark in known for mark in right)

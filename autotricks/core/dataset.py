"""Split and Dataset: images and labels as tensors, ready to train on."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .images import Images, subset
from .trick import MANY_CLASSES, Trait


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one part of the data.

    Shapes:
        images: [N, D, H, W], uint8; in memory or streamed.
        labels: [N], int64.
    """

    images: Images
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Split:
        """Return some of the rows; images that are streamed stay so."""
        return Split(subset(self.images, rows), self.labels[rows])

    def sample(self, count: int) -> Split:
        """Return `count` rows evenly spaced, all of them where there are fewer."""
        if count >= len(self):
            return self
        return self.take(torch.arange(count) * len(self) // count)

    def to(self, device: torch.device | str) -> Split:
        """Return the split on a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """The splits of one data set, with what must be known to repeat and to name them.

    `test` is None for everything a search trains with: only confirmation reads it.

    Args:
        mean: Mean of each channel of the training split, in [0, 1].
        std: Standard deviation of each channel, in [0, 1]; 1 where a channel is constant.
        classes: Names by label.
        fingerprint: Hash of images, labels and the membership of each split.
        source: As the user wrote it.
    """

    train: Split
    validation: Split
    test: Split | None
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    source: str

    @property
    def counts(self) -> Tensor:
        """Number of training images of each class, [C], int64."""
        return torch.bincount(self.train.labels, minlength=len(self.classes))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (D, H, W) of an image."""
        depth, height, width = self.train.images.shape[1:]
        return depth, height, width

    @property
    def traits(self) -> frozenset[Trait]:
        """What tricks may refer to."""
        return frozenset({Trait.HAS_MANY_CLASSES} if len(self.classes) >= MANY_CLASSES else ())

    def without_test(self) -> Dataset:
        """Return what a search may see."""
        return replace(self, test=None)

    def to(self, device: torch.device | str) -> Dataset:
        """Return the data set with train and validation on a device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))

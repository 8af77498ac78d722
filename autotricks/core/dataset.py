"""Split and Dataset: images and targets as tensors, ready to train on."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .bundle import Bundle
from .images import Images, joined, subset
from .targets import Targets
from .task import Task
from .traits import MANY_CLASSES, DataTrait
from .weights import Weights, key


@dataclass(frozen=True, eq=False)
class Split:
    """Images and targets of one part of the data.

    Shapes:
        images: [N, D, H, W], uint8; in memory or streamed.
        targets: of N images.
        groups: [N], int64: images with the same number stay together, also those of two splits; None where images are
            not grouped.
    """

    images: Images
    targets: Targets
    groups: Tensor | None = None

    @classmethod
    def plain(cls, images: Images, labels: Tensor) -> Split:
        """Return images with one label each; `labels` is [N]."""
        return cls(images, Targets.plain(labels))

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Tensor) -> Split:
        """Return some of the rows; images that are streamed stay so."""
        return Split(subset(self.images, rows), self.targets[rows], None if self.groups is None else self.groups[rows])

    def followed(self, other: Split) -> Split:
        """Return the rows and then those of another split of the same data."""
        together = None if self.groups is None or other.groups is None else torch.cat([self.groups, other.groups])
        return Split(joined(self.images, other.images), self.targets.followed(other.targets), together)

    def sample(self, count: int) -> Split:
        """Return `count` rows evenly spaced, all of them where there are fewer."""
        if count >= len(self):
            return self
        return self.take(torch.arange(count) * len(self) // count)

    def to(self, device: torch.device | str) -> Split:
        """Return the split on a device."""
        return Split(self.images.to(device), self.targets.to(device), self.groups)


@dataclass(frozen=True)
class Fold:
    """One of the parts that train and validation together are cut into: it validates, the others train.

    Args:
        number: From 0.
        count: Of the parts.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.count}"


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
        task: What is to be learned from it.
        follow_weights: Whether trainings that begin with published weights normalize images as these were trained.
        weights: What trainings on it may begin with, read once for all; see `autotricks.core.weights.key`.
        folds: The number of the fold of each image of train and then of validation, [N + M], int64; -1 for one that
            trains in every fold; None where none were drawn.
    """

    train: Split
    validation: Split
    test: Split | None
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    source: str
    task: Task
    follow_weights: bool = True
    weights: Mapping[str, Weights] = field(default_factory=dict)
    folds: Tensor | None = None

    @property
    def counts(self) -> Tensor:
        """Places of each class in the training images, [C], int64: images where each has one label."""
        return self.train.targets.counts(len(self.classes))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape (D, H, W) of an image."""
        depth, height, width = self.train.images.shape[1:]
        return depth, height, width

    @property
    def traits(self) -> frozenset[DataTrait]:
        """What tricks may need or refuse."""
        return self.task.brings | ({DataTrait.MANY_CLASSES} if len(self.classes) >= MANY_CLASSES else frozenset())

    def normalized(self, bundle: Bundle) -> Dataset:
        """Return the data set with mean and deviation as the weights want them that a bundle begins with."""
        weights = self.weights.get(key(bundle.model, bundle.weights))
        known = weights.statistics(self.image_shape[0]) if weights and self.follow_weights else None
        return replace(self, mean=known[0], std=known[1]) if known else self

    def folded(self, fold: Fold | None) -> Dataset:
        """Return the data set in which one fold validates and all others train; as it is for None.

        Test, mean and deviation stay. The fingerprint is another, since what is kept of a split is found by it.
        """
        if fold is None:
            return self
        assert self.folds is not None, "no folds were drawn"
        inside = self.folds == fold.number
        digest = hashlib.sha256(f"{self.fingerprint} {fold}".encode() + inside.numpy().tobytes()).hexdigest()
        return replace(self, train=self._chosen(~inside), validation=self._chosen(inside), fingerprint=digest,
                       folds=None)

    def _chosen(self, mask: Tensor) -> Split:
        """Return the images of train and then of validation for which a mask, [N + M], holds."""
        ours, theirs = mask.split([len(self.train), len(self.validation)])
        return self.train.take(ours.nonzero().squeeze(1)).followed(
            self.validation.take(theirs.nonzero().squeeze(1)))

    def without_test(self) -> Dataset:
        """Return what a search may see."""
        return replace(self, test=None)

    def to(self, device: torch.device | str) -> Dataset:
        """Return the data set with train and validation on a device."""
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))

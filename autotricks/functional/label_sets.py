"""Images with any number of labels: what share of each class an image has, and which rows have which label."""
from __future__ import annotations

import torch
from torch import Tensor

from ..core.targets import Targets


def class_shares(targets: Targets, classes: int) -> Tensor:
    """Return what share of each class an image is to be taken for: 1 for its labels, less in mixtures.

    Where two images of one class are mixed, its share is the sum of both, at most 1.

    Shapes:
        returns: [B, C], float, in [0, 1].
    """
    shares = targets.shares.flatten(1)
    empty = shares.new_zeros(len(targets), classes)
    return empty.scatter_add(1, targets.labels.flatten(1), shares).clamp(max=1)


def labelled_rows(targets: Targets) -> tuple[Tensor, Tensor]:
    """Return a row and a label for each label of an image: of images with one label each, every row once.

    An image with several objects of a class has their label once, one without a label none. The device is waited for.

    Shapes:
        returns: [P] rows and [P] labels, int64.
    """
    shares = targets.shares.flatten(1)
    if shares.shape[1] == 1 and bool((shares > 0).all()):
        return torch.arange(len(targets), device=shares.device), targets.single
    rows, places = shares.nonzero(as_tuple=True)
    labels = targets.labels.flatten(1)[rows, places]
    classes = int(labels.max()) + 1 if len(labels) else 1
    pairs = (rows * classes + labels).unique()
    return pairs // classes, pairs % classes


def image_counts(labels: Tensor, classes: int) -> Tensor:
    """Return how many images have each class, [C], int64, from the labels of `labelled_rows`, [P]."""
    return torch.bincount(labels, minlength=classes)

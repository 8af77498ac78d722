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
    """Return a row and a label for each labelled place: of images with one label each, every row once.

    Images without a label have no place; the device is waited for where images have more than one.

    Shapes:
        returns: [P] rows and [P] labels, int64.
    """
    if targets.labels.shape[1:] == (1,):
        return torch.arange(len(targets), device=targets.labels.device), targets.single
    rows, places = targets.shares.flatten(1).nonzero(as_tuple=True)
    return rows, targets.labels.flatten(1)[rows, places]

"""Batch: images, a mixture of labels for each, and the rows they come from."""
from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch of images whose targets are mixtures of K labels.

    A plain batch has K = 1 and shares of 1; mixup and CutMix give K = 2, label smoothing adds one label per class.
    `whole` is the batch that a micro-batch was cut from (itself if it was not cut): what is normalized over the
    batch, such as the total of class weights, reads it, so that accumulation changes nothing.

    `features` is what the model's classifier was given, where an active trick reads it.

    Shapes:
        images: [B, D, H, W], normalized.
        labels: [B, K], int64.
        shares: [B, K], each row sums to 1.
        rows: [B], int64, row numbers in the training split.
        features: [B, F].
    """

    images: Tensor
    labels: Tensor
    shares: Tensor
    rows: Tensor
    parent: Batch | None = None
    features: Tensor | None = None

    @classmethod
    def plain(cls, images: Tensor, labels: Tensor, rows: Tensor) -> Batch:
        """Return a batch with one label for each image; `labels` is [B]."""
        labels = labels.unsqueeze(1)
        return cls(images, labels, torch.ones_like(labels, dtype=images.dtype), rows)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def whole(self) -> Batch:
        """The batch before it was cut or its targets were changed for the loss."""
        return self.parent or self

    def retarget(self, labels: Tensor, shares: Tensor) -> Batch:
        """Return this batch with other target mixtures for the loss; `whole` keeps the old ones."""
        return replace(self, labels=labels, shares=shares, parent=self.whole)

    def mix(self, losses: Tensor) -> Tensor:
        """Return the loss of each mixture, [B], from the losses of its labels, [B, K]."""
        return (losses * self.shares).sum(1)

    def split(self, parts: int) -> list[Batch]:
        """Cut the batch into at most `parts` micro-batches of nearly equal length."""
        if parts == 1:
            return [self]
        columns = (column.tensor_split(min(parts, len(self))) for column in
                   (self.images, self.labels, self.shares, self.rows))
        return [Batch(images, labels, shares, rows, self.whole)
                for images, labels, shares, rows in zip(*columns, strict=True)]

"""Batch: images, what each is to be taken for, and the rows they come from."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from .targets import Targets


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch of images with their targets.

    Images are in [0, 1] while they are augmented, and normalized from then on.

    `whole` is the batch that a micro-batch was cut from (itself if it was not cut): what is normalized over the
    batch, such as the total of class weights, reads it, so that accumulation changes nothing.

    `features` is what the model's classifier was given, where an active trick reads it.

    Shapes:
        images: [B, D, H, W].
        targets: of B images.
        rows: [B], int64, row numbers in the training split.
        features: [B, F].
    """

    images: Tensor
    targets: Targets
    rows: Tensor
    parent: Batch | None = None
    features: Tensor | None = None

    @classmethod
    def plain(cls, images: Tensor, labels: Tensor, rows: Tensor) -> Batch:
        """Return a batch with one label for each image; `labels` is [B]."""
        return cls(images, Targets.plain(labels), rows)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def whole(self) -> Batch:
        """The batch before it was cut or its targets were changed for the loss."""
        return self.parent or self

    def painted(self, images: Tensor) -> Batch:
        """Return this batch with other pixels: what is seen stays where it was."""
        return replace(self, images=images)

    def erased(self, images: Tensor, gone: Callable[[], Tensor]) -> Batch:
        """Return this batch with images in which some pixels show nothing any more; objects behind them are ignored.

        Args:
            images: Afterwards.
            gone: Returns which pixels, [B, H, W] bool, as `Targets.erased` takes it; not called where no place has a
                box.
        """
        targets = self.targets
        if targets.boxes is not None:
            targets = targets.erased(gone())
        return replace(self, images=images, targets=targets)

    def moved(self, images: Tensor, matrices: Callable[[], Tensor]) -> Batch:
        """Return this batch with images whose pixels were moved; boxes go with them.

        Args:
            images: Afterwards, of any size.
            matrices: Returns where points are moved, [B, 2, 3], as `Targets.warped` takes it; not called where no
                place has a box.
        """
        targets = self.targets
        if targets.boxes is not None:
            targets = targets.warped(matrices(), (images.shape[-2], images.shape[-1]))
        return replace(self, images=images, targets=targets)

    def retarget(self, targets: Targets) -> Batch:
        """Return this batch with other targets for the loss; `whole` keeps the old ones."""
        return replace(self, targets=targets, parent=self.whole)

    def mix(self, losses: Tensor) -> Tensor:
        """Return the loss of each image, [B], from the losses of its places, [B, *P]: their sum, weighed by shares."""
        return (losses * self.targets.shares).flatten(1).sum(1)

    def split(self, parts: int) -> list[Batch]:
        """Cut the batch into at most `parts` micro-batches of nearly equal length."""
        if parts == 1:
            return [self]
        images = self.images.tensor_split(min(parts, len(self)))
        lengths = [len(piece) for piece in images]
        pieces = zip(images, self.targets.split(lengths), self.rows.split(lengths), strict=True)
        return [Batch(*piece, self.whole) for piece in pieces]

"""Targets: what a batch of images is to be taken for, as labelled places with shares."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .constants import constants

LEAST = 0.25            # share of an object's area that must be left to see, or it is to be ignored
NARROW = 0.5            # pixels; of what is narrower not one is left that shows it alone


@dataclass(frozen=True, eq=False)
class Targets:
    """Labelled places of each image, each with a share; a share of 0 is padding, or says to ignore the place.

    An image of one class has one place with a share of 1. Mixup gives it two, label smoothing one more for each class;
    where objects are to be found, each box is a place.

    Shapes:
        labels: [B, *P], int64.
        shares: [B, *P], not negative.
        boxes: [B, *P, 4], left, top, right and bottom in pixels of the image; None where places have none.
    """

    labels: Tensor
    shares: Tensor
    boxes: Tensor | None = None

    @classmethod
    def plain(cls, labels: Tensor) -> Targets:
        """Return targets with one label an image; `labels` is [B]."""
        labels = labels.unsqueeze(1)
        return cls(labels, torch.ones_like(labels, dtype=torch.float32))

    @classmethod
    def sets(cls, labels: Sequence[Sequence[int]], boxes: Sequence[Tensor] | None = None,
             ignored: Sequence[Sequence[bool]] | None = None) -> Targets:
        """Return targets of images with any number of labels each; those with fewer than the most have padding.

        Args:
            labels: Of each image.
            boxes: Of each image [K, 4], one for each of its labels; None where labels have no boxes.
            ignored: Whether each label is to be ignored, which has a share of 0 then; none if left out.
        """
        width = max(1, max(map(len, labels), default=1))
        padded = [[*row, *[0] * (width - len(row))] for row in labels]
        there = [[1.0] * len(row) + [0.0] * (width - len(row)) for row in labels]
        for shares, flags in zip(there, ignored or (), strict=False):
            shares[:len(flags)] = [float(not flag) for flag in flags]
        targets = cls(torch.tensor(padded, dtype=torch.int64).view(-1, width), torch.tensor(there).view(-1, width))
        if boxes is None:
            return targets
        places = torch.zeros(len(labels), width, 4)
        for place, own in zip(places, boxes, strict=True):
            place[:len(own)] = own
        return replace(targets, boxes=places)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor | slice) -> Targets:
        return Targets(self.labels[rows], self.shares[rows], None if self.boxes is None else self.boxes[rows])

    @property
    def single(self) -> Tensor:
        """The label of each image, [B], of data in which each has one."""
        assert self.labels.shape[1:] == (1,), f"each image has {tuple(self.labels.shape[1:])} places, not one"
        return self.labels[:, 0]

    def listed(self) -> list[tuple[int, ...]]:
        """Return the distinct labels of each image, ascending; places that are to be ignored have none."""
        labels = self.labels.flatten(1).tolist()
        shares = self.shares.flatten(1).tolist()
        return [tuple(sorted({label for label, share in zip(*row, strict=True) if share > 0}))
                for row in zip(labels, shares, strict=True)]

    def split(self, lengths: int | Sequence[int]) -> list[Targets]:
        """Cut the targets into stretches of images, as `torch.split` does."""
        size = lengths if isinstance(lengths, int) else list(lengths)
        labels = self.labels.split(size)
        shares = self.shares.split(size)
        boxes = [None] * len(labels) if self.boxes is None else self.boxes.split(size)
        return [Targets(*piece) for piece in zip(labels, shares, boxes, strict=True)]

    def followed(self, other: Targets) -> Targets:
        """Return the targets of these images and then those of others; images with fewer places get padding."""
        places = max(self.labels.shape[1], other.labels.shape[1])
        parts = [each._padded(places) for each in (self, other)]
        boxes = [part.boxes for part in parts if part.boxes is not None]
        return Targets(torch.cat([part.labels for part in parts]), torch.cat([part.shares for part in parts]),
                       torch.cat(boxes) if len(boxes) == len(parts) else None)

    def _padded(self, places: int) -> Targets:
        """Return the targets with so many places an image, of which further ones are to be ignored."""
        size = (len(self), places - self.labels.shape[1])
        if not size[1]:
            return self
        boxes = None if self.boxes is None else self.boxes.new_zeros(*size, 4)
        return self.joined(Targets(self.labels.new_zeros(size), self.shares.new_zeros(size), boxes))

    def to(self, device: torch.device | str) -> Targets:
        """Return the targets on a device."""
        boxes = None if self.boxes is None else self.boxes.to(device)
        return Targets(self.labels.to(device), self.shares.to(device), boxes)

    def counts(self, classes: int) -> Tensor:
        """Return how many places each class has, [C], int64; those that are to be ignored do not count."""
        return torch.bincount(self.labels[self.shares > 0], minlength=classes)

    def weighted(self, factor: Tensor | float) -> Targets:
        """Return the targets with their shares times a factor that can be broadcast to them."""
        return replace(self, shares=self.shares * factor)

    def joined(self, other: Targets) -> Targets:
        """Return the places of both; `other` has those of the same images."""
        boxes = None
        if self.boxes is not None and other.boxes is not None:
            boxes = torch.cat([self.boxes, other.boxes], 1)
        return Targets(torch.cat([self.labels, other.labels], 1), torch.cat([self.shares, other.shares], 1), boxes)

    def blend(self, partner: Tensor, keep: Tensor) -> Targets:
        """Return `keep` of the targets and the rest of each image's partner's: those of two images in one.

        Shapes:
            partner: [B], int64, places in the batch.
            keep: [1], or [B, 1].
        """
        return self.weighted(keep).joined(self[partner].weighted(1 - keep))

    def repeated(self, times: int) -> Targets:
        """Return the targets with each image's `times` times in succession."""
        boxes = None if self.boxes is None else self.boxes.repeat_interleave(times, 0)
        return Targets(self.labels.repeat_interleave(times, 0), self.shares.repeat_interleave(times, 0), boxes)

    def warped(self, matrices: Tensor, size: tuple[int, int]) -> Targets:
        """Return the targets of images whose pixels were moved; those without boxes are as they were.

        A moved box is the smallest upright one around the old one's corners, cut at the image's border. One of which
        less than `LEAST` of the area is left in the image, or that has become too narrow to see, gets a share of 0: an
        object that is cut off is kept by overlap, as in Liu et al. 2016, https://arxiv.org/abs/1512.02325, section 2.2,
        where the middle must be left. What is left of others stays in its place, to be ignored.

        Args:
            matrices: From a point (x, y, 1) of an image, in pixels from its upper left corner, to where it is moved.
            size: Height and width of the images afterwards.

        Shapes:
            matrices: [B, 2, 3].
        """
        if self.boxes is None:
            return self
        flat = self.boxes.flatten(1, -2)
        left, top, right, bottom = flat.unbind(-1)
        pairs = (left, top), (right, top), (left, bottom), (right, bottom)
        corners = torch.stack([torch.stack(pair, -1) for pair in pairs], 2)                 # [B, K, 4, 2]
        moved = corners @ matrices[:, None, :, :2].mT + matrices[:, None, None, :, 2]
        height, width = size
        border = constants((width, height), moved)
        first = moved.amin(2)
        last = moved.amax(2)
        low = first.clamp(min=0).minimum(border)
        high = last.clamp(min=0).minimum(border)
        inside = (high - low).prod(2)
        seen = (inside >= LEAST * (last - first).prod(2)) & ((high - low).amin(2) > NARROW)
        boxes = torch.cat([low, high], 2).view_as(self.boxes)
        return Targets(self.labels, self.shares * seen.view_as(self.shares), boxes)

    def erased(self, gone: Tensor) -> Targets:
        """Return the targets of images in which some pixels show nothing any more; without boxes, as they were.

        An object of which less than `LEAST` is left to see gets a share of 0, and so is to be ignored.

        Shapes:
            gone: [B, H, W], bool; [1, H, W] where they are the same in all images.
        """
        if self.boxes is None:
            return self
        height, width = gone.shape[1:]
        sums = F.pad(gone.float().cumsum(1).cumsum(2), (1, 0, 1, 0)).flatten(1).expand(len(self), -1)
        edges = self.boxes.flatten(1, -2).round().long()
        columns = edges[..., 0::2].clamp(0, width)
        rows = edges[..., 1::2].clamp(0, height)
        places = rows.unsqueeze(3) * (width + 1) + columns.unsqueeze(2)                     # [B, K, 2, 2]
        lost = sums.gather(1, places.flatten(1)).view(places.shape).diff(dim=2).diff(dim=3).squeeze(3)
        whole = columns.diff(dim=2) * rows.diff(dim=2)
        return self.weighted((lost <= (1 - LEAST) * whole).view_as(self.shares))

"""Copy-paste: put copies of small objects where nothing is."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.constants import constants
from ...core.domain import Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.targets import Targets
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.boxes import intersection, small_alone
from ...functional.windows import collected, numbered, rectangles

TRIES = 8       # places looked at for a copy


def picked(mask: Tensor, chances: Tensor) -> Tensor:
    """Return for each chance a place where a mask holds, each as likely; the last place where it holds nowhere.

    Shapes:
        mask: [N], bool.
        chances: [B], in [0, 1).
        returns: [B], int64.
    """
    until = mask.cumsum(0)
    return torch.searchsorted(until, (chances * until[-1]).long() + 1).clamp(max=len(mask) - 1)


def free_corners(boxes: Tensor, patches: Tensor, chances: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first corner, of several drawn in each image, at which a patch covers no box; and whether one is.

    Args:
        boxes: Of the objects that are there.
        patches: Width and height of what is to be put there, in whole pixels.
        chances: Uniform numbers.
        sides: Width and height of the images.

    Shapes:
        boxes: [B, K, 4].
        patches: [B, 2].
        chances: [B, T, 2], in [0, 1).
        sides: [2].
        returns: [B, 2], x and y in whole pixels, and [B], bool.
    """
    corners = (chances * (sides - patches + 1).unsqueeze(1)).floor()
    covered = torch.cat([corners, corners + patches.unsqueeze(1)], 2)
    free = (intersection(covered.unsqueeze(2), boxes.unsqueeze(1)) == 0).all(2)
    first = free.float().argmax(1).view(-1, 1, 1).expand(-1, 1, 2)
    return corners.gather(1, first).squeeze(1), free.any(1)


class CopyPaste(Trick):
    """Put copies of small objects of the batch into each image, where they cover nothing.

    Objects are small that have no more than `largest` squared of the image's area; those that share a pixel with
    another are not copied. A copy lies where it touches no object, of eight places the first such; where none is, it
    is left out. Small objects are found in few places, and so more often by a detector that saw more of them.

    Paper: Kisantal et al. 2019, https://arxiv.org/abs/1902.07296, section 4.2.
    Cost: a comparison of each two objects of an image, and one copy of the images.
    Deviates: Where there are boxes and no outlines, all in the box is copied, with its size and upright; the paper
        scales a copy by up to 20 % and turns it by up to 15 degrees. Copies may come from other images.
    """

    seats = {Slot.AUGMENT: "paste"}
    requires_data = frozenset({DataTrait.BOXES})
    copies: int = tunable(3, search=Choice(1, 2, 3, 5), legal=Between(1, 20), unit="an image, at most")
    largest: float = tunable(0.1, search=Float(0.05, 0.3), legal=Between(0, 1, without=(0,)),
                             unit="fraction of the image's side")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what pastes small objects into each image of a batch."""
        def filled(batch: Batch) -> Batch:
            batch = inner(batch)
            height, width = batch.images.shape[2:]
            targets = batch.targets
            objects = targets.boxes
            assert objects is not None, "objects have boxes"
            places = objects.shape[1]
            small = small_alone(objects, targets.shares, self.largest ** 2 * height * width).flatten()
            taken = objects
            numbers = numbered(batch.images)
            shown = numbers
            for _ in range(self.copies):
                chances = torch.rand(len(batch), 1 + 2 * TRIES, generator=run.generator, device=run.device)
                source = picked(small, chances[:, 0])
                box = objects.flatten(0, 1)[source]
                low = box[:, :2].floor()
                patch = box[:, 2:].ceil() - low
                corner, free = free_corners(taken, patch, chances[:, 1:].unflatten(1, (TRIES, 2)),
                                            constants((width, height), patch))
                there = (free & small.any()).unsqueeze(1)
                move = corner - low
                step = (move[:, 1] * width + move[:, 0]).long().view(-1, 1, 1)
                inside = rectangles(corner, patch * there, height, width)
                shown = torch.where(inside, numbers[source // places] - step, shown)
                copy = ((box + move.repeat(1, 2)) * there).unsqueeze(1)
                label = batch.targets.labels.flatten()[source].unsqueeze(1)
                targets = targets.joined(Targets(label, there.float(), copy))
                taken = torch.cat([taken, copy], 1)
            return replace(batch, images=collected(batch.images, shown), targets=targets)
        return filled

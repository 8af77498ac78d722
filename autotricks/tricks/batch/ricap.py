"""RICAP: patch each image from crops of four and share the label by area."""
from __future__ import annotations

from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Mix, Slot
from ...core.targets import Targets
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import beta

_MANY = 2**62  # so many outcomes that a remainder is uniform to one part in 10^12


def lengths(cut: Tensor, size: int) -> Tensor:
    """Return the lengths of the parts before and after a cut; `cut` is [1], int64; returns [2]."""
    return torch.cat([cut, size - cut])


def ricap(batch: Batch, partners: Tensor, cuts: tuple[Tensor, Tensor], corners: Tensor) -> Batch:
    """Return images patched from four crops: upper left, upper right, lower left, lower right.

    Args:
        batch: What to patch from.
        partners: Where each of the four patches is taken from.
        cuts: Rows above the horizontal and columns left of the vertical boundary.
        corners: First row and first column of each crop.

    Shapes:
        batch: of B images with K places each.
        partners: [4, B], int64, places in the batch.
        cuts: [1] and [1], int64, in [0, H] and in [0, W].
        corners: [2, 4], int64; a crop does not leave its image.
        returns: of B images with 4K places each.
    """
    height, width = batch.images.shape[-2:]
    rows, columns = (torch.arange(size, device=batch.images.device) for size in (height, width))
    lower = (rows >= cuts[0]).long().unsqueeze(1)
    right = (columns >= cuts[1]).long()
    patch = 2 * lower + right
    # Pixels of an image are numbered row by row; the crop's corner moves with the patch that a pixel lies in.
    down = rows.unsqueeze(1) - lower * cuts[0] + corners[0][patch]
    along = columns - right * cuts[1] + corners[1][patch]
    images = torch.empty_like(batch.images).copy_(
        batch.images.movedim(1, -1)[partners[patch].movedim(-1, 0), down, along].movedim(-1, 1))
    areas = torch.outer(lengths(cuts[0], height), lengths(cuts[1], width)).flatten() / (height * width)
    patches = (batch.targets[partner].weighted(area) for partner, area in zip(partners, areas, strict=True))
    return replace(batch, images=images, targets=reduce(Targets.joined, patches))


class Ricap(Trick):
    """Patch each image from crops of four images of the batch, and share the label by their areas.

    The boundary is drawn from Beta(beta, beta) for height and width and the crops' places uniformly, once for the
    batch; each patch has its own permutation of the batch. It wants longer training, as all mixing does.

    Paper: Takahashi et al. 2018, https://arxiv.org/abs/1811.09030, the method's section and its listing.
    Cost: one pass over the images; four times the labels.
    """

    seats = {Slot.BATCH: "mix"}
    provides = frozenset({Trait.MIXES_LABELS})
    excludes_data = frozenset({DataTrait.BOXES})     # which a patch would cut
    beta: float = tunable(0.3, search=Float(0.1, 1.0), legal=Above(0), unit="Beta concentration")

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what patches a batch from four permutations of itself."""
        def patched(batch: Batch) -> Batch:
            batch = inner(batch)
            height, width = batch.images.shape[-2:]
            partners = torch.rand(4, len(batch), generator=run.generator, device=run.device).argsort(1)
            shares = beta(self.beta, self.beta, 2, run.generator)
            cuts = (shares[:1] * height).round().long(), (shares[1:] * width).round().long()
            room = torch.stack([height + 1 - lengths(cuts[0], height).repeat_interleave(2),
                                width + 1 - lengths(cuts[1], width).repeat(2)])
            corners = torch.randint(_MANY, (2, 4), generator=run.generator, device=run.device) % room
            return ricap(batch, partners, cuts, corners)
        return patched

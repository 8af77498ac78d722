"""CutMix: paste a box of one image into another and share the label by area."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Between, Choice, Float, tunable
from ...core.run import Run
from ...core.slots import Mix, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.sampling import beta, spans


def cutmix(batch: Batch, partner: Tensor, inside: Tensor) -> Batch:
    """Return the batch with the partner's pixels `inside`, labels shared by area.

    Shapes:
        batch: of B images with K places each.
        partner: [B], int64, places in the batch.
        inside: [H, W], bool.
        returns: of B images with 2K places each.
    """
    images = torch.where(inside, batch.images[partner], batch.images)
    pasted = inside.float().mean()
    targets = batch.targets.weighted(1 - pasted).joined(batch.targets[partner].weighted(pasted))
    return replace(batch, images=images, targets=targets)


class Cutmix(Trick):
    """Paste a box of another image of the batch, the same box in all, and share the label by the area pasted.

    The box has sqrt(1 - lambda) of the image's height and width, with lambda from Beta(alpha, alpha), is centered
    anywhere and clipped at the border; lambda is then set to the area that was kept. Very long training may lose by it.

    Paper: Yun et al. 2019, https://arxiv.org/abs/1905.04899, equations 1 and 2.
    Cost: one pass over the images; twice the labels.
    Deviates: The box's sides are rounded to the nearest pixel; the authors' code rounds them down to an even number,
        which on small images pastes less.
    """

    seats = {Slot.BATCH: "mix"}
    provides = frozenset({Trait.MIXES_LABELS})
    excludes_data = frozenset({DataTrait.BOXES})     # which a pasted part would cut
    alpha: float = tunable(1.0, search=Float(0.2, 1.0), legal=Above(0), unit="Beta concentration")
    probability: float = tunable(1.0, search=Choice(0.5, 1.0), legal=Between(0, 1), unit="of a batch to be mixed")

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what pastes into a batch from a permutation of itself."""
        def pasted(batch: Batch) -> Batch:
            batch = inner(batch)
            partner = torch.randperm(len(batch), generator=run.generator, device=run.device)
            return cutmix(batch, partner, self._box(batch, run))
        return pasted

    def _box(self, batch: Batch, run: Run) -> Tensor:
        """Draw a box, [H, W] bool; it is empty where the batch is not to be mixed."""
        side = (1 - beta(self.alpha, self.alpha, 1, run.generator)).sqrt()
        mixes = torch.rand(1, generator=run.generator, device=run.device) < self.probability
        height, width = (
            spans(torch.randint(size, (1,), generator=run.generator, device=run.device),
                  (side * size * mixes).round().long(), size) for size in batch.images.shape[-2:])
        return height.T & width

"""Mixup or CutMix: blend each batch with another order of itself, or paste a box of it, by chance."""
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


def box(keep: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """Return the box around a place that has sqrt(1 - keep) of each side, in whole pixels, cut at the border.

    Args:
        keep: Share of the image that is to stay, where the border cuts nothing.
        rows: Of the box's middle.
        columns: Of the box's middle.
        height: Of the image.
        width: Of the image.

    Shapes:
        keep: [1].
        rows: [1], int64.
        columns: [1], int64.
        returns: [H, W], bool.
    """
    side = (1 - keep).sqrt()
    tall, broad = ((side * size).long() for size in (height, width))
    return spans(rows, tall, height).T & spans(columns, broad, width)


def blended(batch: Batch, partner: Tensor, share: Tensor) -> Batch:
    """Return the batch with a share of each image's partner at each pixel; targets are shared by the mean share.

    Shapes:
        batch: of B images with K places each.
        partner: [B], int64, places in the batch.
        share: [H, W], in [0, 1].
        returns: of B images with 2K places each.
    """
    images = batch.images.lerp(batch.images[partner], share.to(batch.images.dtype))
    return replace(batch, images=images, targets=batch.targets.blend(partner, 1 - share.mean()))


class MixupCutmix(Trick):
    """Mix each batch with a permutation of itself: by CutMix with probability `switch`, by mixup else.

    One lambda a batch, from Beta(`mixup_alpha`, `mixup_alpha`) or Beta(`cutmix_alpha`, `cutmix_alpha`); where a box is
    pasted, lambda is set to the area that was kept. Recipes for vision transformers have it beside label smoothing of
    0.1. It wants longer training.

    Paper: Touvron et al. 2021 (DeiT), https://arxiv.org/abs/2012.12877, table 9; as timm mixes batches. After Zhang et
        al. 2018, https://arxiv.org/abs/1710.09412, and Yun et al. 2019, https://arxiv.org/abs/1905.04899.
    Cost: one pass over the images; twice the labels.
    Deviates: Partners are a random permutation; in timm they are the batch in reverse.
    """

    seats = {Slot.BATCH: "mix"}
    provides = frozenset({Trait.MIXES_LABELS})
    excludes_data = frozenset({DataTrait.BOXES})     # which a pasted part would cut
    mixup_alpha: float = tunable(0.8, search=Float(0.1, 1.0), legal=Above(0), unit="Beta concentration")
    cutmix_alpha: float = tunable(1.0, search=Choice(1.0), legal=Above(0), unit="Beta concentration")
    switch: float = tunable(0.5, search=Choice(0.5), legal=Between(0, 1), unit="of a batch to be pasted, not blended")

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what blends a batch with a permutation of itself or pastes from it."""
        def mixed(batch: Batch) -> Batch:
            batch = inner(batch)
            partner = torch.randperm(len(batch), generator=run.generator, device=run.device)
            return blended(batch, partner, self._share(batch, run))
        return mixed

    def _share(self, batch: Batch, run: Run) -> Tensor:
        """Draw the partner's share at each pixel, [H, W]."""
        height, width = batch.images.shape[-2:]
        rows, columns = (torch.randint(size, (1,), generator=run.generator, device=run.device)
                         for size in (height, width))
        inside = box(beta(self.cutmix_alpha, self.cutmix_alpha, 1, run.generator), rows, columns, height, width)
        even = 1 - beta(self.mixup_alpha, self.mixup_alpha, 1, run.generator)
        pastes = torch.rand(1, generator=run.generator, device=run.device) < self.switch
        return torch.where(pastes, inside.float(), even)

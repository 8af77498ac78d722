"""Mixup: train on weighted sums of two images and of their labels."""
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Mix, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.sampling import beta


def mixup(batch: Batch, partner: Tensor, keep: Tensor) -> Batch:
    """Return keep * sample + (1 - keep) * partner, for images and for targets.

    Shapes:
        batch: of B images with K places each.
        partner: [B], int64, places in the batch.
        keep: [1], in [0, 1].
        returns: of B images with 2K places each.
    """
    images = batch.images.lerp(batch.images[partner], 1 - keep)
    return replace(batch, images=images, targets=batch.targets.blend(partner, keep))


class Mixup(Trick):
    """Mix each image and its target with those of another image of the batch, in the proportion lambda.

    One lambda is drawn from Beta(alpha, alpha) for each batch and partners are a random permutation, as in the
    paper's code. It wants longer training, by half or more; with `stop: 0.9` the last tenth is fine-tuned without it.
    Objects of both images keep their boxes, and count as much as their image does.

    Paper: Zhang et al. 2018, https://arxiv.org/abs/1710.09412, section 2; for objects with boxes Zhang et al. 2019,
        https://arxiv.org/abs/1902.04103, section 3.1, with an alpha of 1.5.
    Cost: one pass over the images; twice the labels.
    """

    seats = {Slot.BATCH: "mix"}
    provides = frozenset({Trait.MIXES_LABELS})
    alpha: float = tunable(1.0, search=Float(0.1, 2.0), legal=Above(0), unit="Beta concentration")

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what mixes a batch with a permutation of itself."""
        def mixed(batch: Batch) -> Batch:
            batch = inner(batch)
            partner = torch.randperm(len(batch), generator=run.generator, device=run.device)
            return mixup(batch, partner, beta(self.alpha, self.alpha, 1, run.generator))
        return mixed

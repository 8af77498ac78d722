"""AugMix with its consistency loss: a model should say the same of an image and of two augmented views of it."""
from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Choice, Float, Int, at_least, tunable
from ...core.run import Run
from ...core.slots import Augment, Loss, Mix, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.augmix import mixed, operations

VIEWS = 3


def divergence(logits: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of the predictions for each image: their mean KL from their own mean.

    Shapes:
        logits: [B, V, C], of V views.
        returns: [B], in [0, log V].
    """
    log_p = torch.log_softmax(logits, 2)
    log_mean = log_p.logsumexp(1, keepdim=True) - math.log(logits.shape[1])
    return (log_p.exp() * (log_p - log_mean)).sum(2).mean(1)


class _Views(Batch):
    """A batch in which three rows in succession show one image; micro-batches never part them."""

    def split(self, parts: int) -> list[Batch]:
        """Cut the batch between images."""
        if parts == 1:
            return [self]
        pieces = torch.arange(len(self) // VIEWS).tensor_split(min(parts, len(self) // VIEWS))
        lengths = [VIEWS * len(piece) for piece in pieces]
        columns = zip(self.images.split(lengths), self.targets.split(lengths), self.rows.split(lengths), strict=True)
        return [_Views(*column, self.whole) for column in columns]


class AugmixConsistency(Trick):
    """Show the model each image and two AugMix views of it; add `weight` times their Jensen-Shannon divergence.

    The loss itself is that of the images alone. What an AugMix view is, `augmix` says; images are what crop, flip and
    the other augmentations leave. It wants longer training.

    Paper: Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781, section 3; numbers as in the authors' code for
        CIFAR, https://github.com/google-research/augmix, which takes severity 1 for ImageNet.
    Cost: three forward and backward passes and three times the memory of a batch; twelve passes of operations over
        `width` times the images.
    Deviates: Probabilities are not cut at 1e-7, which logarithms of softmax do not need.
    """

    # Its views are made in `batch`, where an image may become three; in `augment` it only keeps other policies out.
    seats = {Slot.AUGMENT: "policy", Slot.BATCH: "mix", Slot.LOSS: "term"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    excludes_data = frozenset({DataTrait.BOXES})     # operations of several chains move them apart
    weight: float = tunable(12.0, search=Float(1.0, 12.0), legal=at_least(0), unit="times the divergence")
    severity: int = tunable(3, search=Int(1, 5), legal=Between(1, 10), unit="tenths of the greatest strength")
    width: int = tunable(3, search=Choice(3), legal=Between(1, 10), unit="chains a view")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what is there."""
        return inner

    def batch(self, inner: Mix, run: Run) -> Mix:
        """Return what makes three rows of each: the image and two views."""
        range_ = operations(*run.image_shape[1:], run.device)

        def tripled(batch: Batch) -> Batch:
            batch = inner(batch)
            images = (batch.images * run.std + run.mean).clamp(0, 1)
            views = [(mixed(images, range_, self.severity, self.width, run.generator) - run.mean) / run.std
                     for _ in range(VIEWS - 1)]
            together = torch.stack([batch.images, *views], 1).flatten(0, 1)
            if run.runtime.channels_last:
                together = together.contiguous(memory_format=torch.channels_last)
            return _Views(together, batch.targets.repeated(VIEWS), batch.rows.repeat_interleave(VIEWS, 0))
        return tripled

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return for each row the loss of its image and how far the views' predictions lie apart."""
        def consistent(logits: Tensor, batch: Batch) -> Tensor:
            predictions = logits.unflatten(0, (-1, VIEWS))
            features = None if batch.features is None else batch.features[::VIEWS]
            images = replace(batch, images=batch.images[::VIEWS], targets=batch.targets[::VIEWS],
                             rows=batch.rows[::VIEWS], features=features, parent=batch.whole)
            losses = inner(predictions[:, 0], images) + self.weight * divergence(predictions)
            return losses.repeat_interleave(VIEWS, 0)
        return consistent

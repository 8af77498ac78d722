"""Repeated augmentation: show each image of a batch several times, augmented anew each time."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.domain import Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.trick import Trick


def repeated(rows: Tensor, size: int, times: int) -> Tensor:
    """Return batches of `size` rows in which each row of them comes `times` times.

    All rows of a batch come once before the first comes again, so that ranks and micro-batches differ in what they
    show. Where `times` does not divide `size`, the last rows of a batch come once less.

    Shapes:
        rows: [S, ceil(size / times)], S batches.
        returns: [S, size].
    """
    return rows.repeat(1, times)[:, :size]


class RepeatedAugmentation(Trick):
    """Fill each batch with `times` copies of fewer images, which augmentations and mixing then make different.

    A batch and an epoch keep their number of images, so an epoch shows each `times`-th image alone, drawn anew each
    time. It is of use beside strong augmentation and in long training; without any, copies stay alike.

    Paper: Berman et al. 2019, https://arxiv.org/abs/1902.05509, batching with repeated augmentations; after Hoffer et
        al. 2020, https://arxiv.org/abs/1901.09335. Touvron et al. 2021, https://arxiv.org/abs/2012.12877, take 3.
    Cost: none.
    Deviates: Hoffer et al. keep the images of a batch and so make it `times` as large; here its size stays, as in
        Berman et al. and in timm's RepeatAugSampler.
    """

    seats = {Slot.SAMPLER: "draw"}
    times: int = tunable(3, search=Choice(2, 3), legal=at_least(1), unit="copies of an image in a batch")

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return the rows of an epoch's whole batches, drawn anew each epoch."""
        steps = run.steps_per_epoch
        distinct = -(-run.batch_size // self.times)

        def copied(progress: float) -> Tensor:
            rows = torch.randperm(len(run.targets), generator=run.generator, device=run.device)[:steps * distinct]
            return repeated(rows.view(steps, distinct), run.batch_size, self.times).flatten()
        return copied

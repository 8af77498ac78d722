"""Reverse sampling: join two streams in each batch, one as classes occur and one the other way round."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.run import Run
from ...core.slots import Order, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...errors import BundleError
from ...functional.sampling import class_probabilities, rows_by_class


class ReverseSampling(Trick):
    """Fill half of every batch with images drawn alike and half with classes in proportion to 1 / n.

    The first stream goes through the images without replacement. The second draws class c with a probability
    proportional to max n / n_c, then one of its images with replacement. The streams alternate inside a batch, so that
    micro-batches hold both; a batch of odd size has one image more of the first.

    Paper: Zhou et al. 2020 (BBN), https://arxiv.org/abs/1912.02413, the samplers of its two branches.
    Cost: a sort of the labels each epoch.
    Deviates: One network with one head sees both streams as one batch; there are no branches and no cumulative
        learning. The batch keeps its size, where the paper draws one of full size for each branch, and an epoch stays
        N // batch steps, in which the first stream reads half of the images.

    Raises:
        BundleError: When a batch is of one image and cannot hold both streams.
    """

    seats = {Slot.SAMPLER: "draw"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.RESAMPLES})

    def sampler(self, inner: Order, run: Run) -> Order:
        """Return the rows of an epoch's whole batches, drawn anew each epoch."""
        steps = run.steps_per_epoch
        size = run.batch_size
        if size < 2:
            raise BundleError(f"training.batch_size: {size} is not allowed with reverse_sampling, which fills each "
                              "batch from two streams; batch_size must be >= 2. Raise it or drop reverse_sampling.")
        probabilities = class_probabilities(run.counts, -1.0)

        def joined(progress: float) -> Tensor:
            batches = torch.empty(steps, size, dtype=torch.int64, device=run.device)
            first = batches[:, ::2]
            second = batches[:, 1::2]
            once = torch.randperm(len(run.targets), generator=run.generator, device=run.device)
            first.copy_(once[:first.numel()].view(first.shape))
            second.copy_(rows_by_class(run.targets.single, run.counts, probabilities, second.numel(),
                                       run.generator).view(second.shape))
            return batches.flatten()
        return joined

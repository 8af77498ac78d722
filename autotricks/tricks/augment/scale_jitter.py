"""Scale jitter: resize each image by a random factor, then cut it or fill it up to the size that it had."""
from __future__ import annotations

import torch

from ...core.batch import Batch
from ...core.constants import constants
from ...core.domain import Between, Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Augment, Slot
from ...core.trick import Trick
from ...functional.geometry import stretch
from ...functional.windows import windows


class ScaleJitter(Trick):
    """Scale each image by a factor uniform from `smallest` to `largest`, and show it at the size that it had.

    A larger image is cut at a random place, a smaller one lies at a random place in the channel mean. With the defaults
    it is large-scale jittering, which wants long training; 0.8 to 1.25 is the standard one. Objects cut off but for a
    quarter are ignored.

    Paper: Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177, section 3.
    Cost: one sampling of the images.
    Deviates: A smaller image lies anywhere; the authors' lies at the upper left. Like theirs it is sampled bilinearly,
        without smoothing.
    """

    seats = {Slot.AUGMENT: "crop"}
    smallest: float = tunable(0.1, search=Choice(0.1, 0.3, 0.5, 0.8), legal=Between(0, 1, without=(0,)),
                              unit="times the image's side")
    largest: float = tunable(2.0, search=Choice(1.25, 1.5, 2.0), legal=at_least(1), unit="times the image's side")

    def augment(self, inner: Augment, run: Run) -> Augment:
        """Return what scales each image of a batch."""
        def jittered(batch: Batch) -> Batch:
            batch = inner(batch)
            images = batch.images
            sides = constants((images.shape[3], images.shape[2]), run.mean)
            scale, *place = torch.rand(3, len(batch), generator=run.generator, device=run.device)
            scales = (self.smallest + (self.largest - self.smallest) * scale).unsqueeze(1).expand(-1, 2)
            firsts = torch.stack(place, 1) * sides * (1 - scales)      # below 0 where the image is cut
            shown = windows(images - run.mean, scales, firsts).add_(run.mean)
            return batch.moved(shown, lambda: stretch(scales, firsts))
        return jittered

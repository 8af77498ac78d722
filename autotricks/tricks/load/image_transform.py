"""Image transform: synthesize images of rare classes by moving them as a whole."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Load, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.affine import synthesized, synthetic_fraction


class ImageTransform(Trick):
    """Replace images of rare classes by versions that are turned and scaled, shifted or mirrored as a whole.

    This is the control of `cam_sampling`: the same images are replaced as often and in the same ways, but there is no
    foreground. The sampler beside it says how often a class is drawn. Where left and right mean something, set
    `mirrors: false`.

    Paper: Zhang et al. 2021, https://github.com/zhangyongshun/BagofTricks-LT, the ablation of CAM-based sampling.
    Cost: one sampling of the images in each step, which is computed for those not replaced too.
    Deviates: Where the moved image does not reach, the original shows, as it does with `cam_sampling`: the foreground
        is the only difference.
    """

    seats = {Slot.LOAD: "synthesis"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    opens = 0.8
    mirrors: bool = tunable(True, search=Choice(True, False))

    def load(self, inner: Load, run: Run) -> Load:
        """Return what loads images and replaces some."""
        fractions = synthetic_fraction(run.counts)

        def transformed(rows: Tensor) -> Tensor:
            images = inner(rows)
            whole = torch.ones_like(images[:, 0], dtype=torch.bool)
            return synthesized(images, whole, fractions[run.targets.single[rows]], run.generator, self.mirrors)
        return transformed

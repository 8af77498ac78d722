"""Group norm: normalize each image by itself, so that the size of the batch does not matter."""
from __future__ import annotations

from torch import nn

from ...core.domain import Choice, Int, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.normalization import copy_state, replace_norms


def groups_of(channels: int, groups: int) -> int:
    """Return the largest number of equal groups, at most `groups`, that leaves each at least two channels."""
    return max([count for count in range(1, min(groups, channels // 2) + 1) if channels % count == 0], default=1)


class GroupNorm(Trick):
    """Normalize over groups of channels of one image, in place of every batch norm.

    There are no running statistics: training and evaluation compute the same, an image is not touched by others in its
    batch, and neither accumulation nor a second pass at other weights changes a thing. With one group it is layer norm.
    Scales and shifts stay as they are.

    Paper: Wu and He 2018, https://arxiv.org/abs/1803.08494, equations 1, 2 and 7.
    Raises: ModelError when the model has no batch norm.
    Cost: about that of batch norm in training; it cannot be folded into a convolution for prediction.
    Deviates: A layer that cannot be cut into `groups` equal groups of at least two channels gets as many as it can: 64
        channels in 32 groups are the narrowest in the paper, and one channel a group would be instance norm.
    """

    seats = {Slot.MODEL: "norm"}
    provides = frozenset({Trait.SMALL_BATCHES, Trait.NEW_WEIGHTS})
    groups: int = tunable(32, search=Choice(8, 16, 32), legal=Int(1, 4096), unit="groups of channels a layer")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with group norm in the place of batch norm."""
        def grouped(norm: nn.BatchNorm2d) -> nn.GroupNorm:
            count = groups_of(norm.num_features, self.groups)
            new = nn.GroupNorm(count, norm.num_features, norm.eps, norm.affine)
            copy_state(new, norm)
            return new
        return replace_norms(inner, grouped, self.name)

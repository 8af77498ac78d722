"""Center sampling: the places near the middle of an object are to find it."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.dense import Dense
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.assignment import with_places


class CenterSampling(Trick):
    """Let the places in an object's box, no more than `radius` strides from its middle, find it.

    Of several objects the smallest is taken.

    Paper: Tian et al. 2022, https://arxiv.org/abs/2006.09214, section 3.3; Tian et al. 2019,
        https://arxiv.org/abs/1904.01355, section 3.
    Cost: a comparison of each place with each box.
    Deviates: an object belongs to the level whose stride is nearest a sixth of its longer side; the paper has ranges
        of distances, by which an object that is seen from its middle is 8 to 16 strides long.
    """

    seats = {Slot.LOSS: "assign"}
    requires_data = frozenset({DataTrait.BOXES})
    radius: float = tunable(1.5, search=Float(0.5, 2.0), legal=Above(0), unit="strides")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss of places instead of objects."""
        def placed(output: Tensor, batch: Batch) -> Tensor:
            return inner(output, with_places(batch, Dense.of(output).places[0], self.radius))
        return placed

"""Box label smoothing: objects are there with a probability a little below 1."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick


class BoxLabelSmoothing(Trick):
    """Train the class of an object towards 1 - epsilon instead of 1; where nothing is, towards 0 as before.

    The loss is 1 - epsilon times that of the image and epsilon times that of the same image without objects: for a
    base loss that is linear in the target, as cross-entropy is, that is the loss against the smoothed target. So it
    goes with every base loss. Boxes are compared as before.

    Paper: Zhang et al. 2019, https://arxiv.org/abs/1902.04103, section 3.2; Bochkovskiy et al. 2020,
        https://arxiv.org/abs/2004.10934, section 3.4.
    Cost: the base loss once more; nothing beside a forward pass.
    Deviates: the papers also raise the target of the other classes above 0, of which a detector with a sigmoid for each
        class has thousands in an image. The centerness, which is trained at objects alone, counts 1 - epsilon as much.
    """

    seats = {Slot.LOSS: "target"}
    requires_data = frozenset({DataTrait.BOXES})
    provides = frozenset({Trait.SMOOTHS_LABELS})
    epsilon: float = tunable(0.1, search=Float(0.0, 0.2), legal=Between(0, 1, without=(1,)), unit="below 1")

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss against smoothed targets."""
        def smooth(output: Tensor, batch: Batch) -> Tensor:
            empty = batch.retarget(batch.targets.weighted(0.0))
            return (1 - self.epsilon) * inner(output, batch) + self.epsilon * inner(output, empty)
        return smooth

"""SAM: take the gradient at the worst point nearby."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.sharpness import twice, uphill


class Sam(Trick):
    """Compute gradients a step of length `rho` uphill, and take them from the weights where the step began.

    Weights are so sought around which the loss is low in all directions. The step uphill follows the gradient of all
    weights together, over the whole batch however memory cuts it; what clips or centralizes gradients sees those that
    come out. Buffers keep what the first pass left in them, so batch-norm statistics move once a step, and both passes
    draw the same random numbers, as in the authors' code. Compare it at equal time too: one epoch costs two.

    Paper: Foret et al. 2021, https://arxiv.org/abs/2010.01412, algorithm 1 with equation 2, p = 2.
    Cost: two forward and two backward passes a step; one copy of the weights and two of their gradients meanwhile.
    Deviates: The optimizer decays weights after it, where the authors' loss holds the decay in both passes.
    """

    seats = {Slot.GRADIENTS: "perturb"}
    excludes = frozenset({Trait.LOSS_SCALER})
    rho: float = tunable(0.05, search=Float(0.01, 0.2, log=True), legal=Above(0), unit="L2 length in weight space")

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients at the worst point of the ball."""
        both = twice(inner, run, lambda weights, gradients: uphill(gradients, self.rho))

        def sharp(batch: Batch) -> Tensor:
            loss, _ = both(batch)
            return loss
        return sharp

"""ASAM: take the gradient at the worst point nearby, where near means near in proportion to each weight."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.sharpness import twice, uphill
from ...functional.tensor_lists import absolute, times


def adaptive(weights: list[Tensor], gradients: list[Tensor], length: float) -> list[Tensor]:
    """Return rho * w^2 g / | |w| g |, with the length taken over all weights together.

    Args:
        weights: w.
        gradients: g, of the same shapes.
        length: rho, the L2 length of the step in units of the weights themselves.
    """
    sizes = absolute(weights)
    return times(sizes, uphill(times(sizes, gradients), length))


class Asam(Trick):
    """Compute gradients a step uphill whose length is `rho` in units of each weight, and take them from its start.

    Layers may be scaled up and down against one another without changing what the network computes; unlike that of
    SAM, this step scales with them, so its sharpness is that of the function. All else is as with SAM: buffers, and so
    batch-norm statistics, move in the first pass only, and both passes draw the same random numbers.

    Paper: Kwon et al. 2021, https://arxiv.org/abs/2102.11600, algorithm 1 with p = 2 and eta = 0.
    Cost: two forward and two backward passes a step; one copy of the weights and two of their gradients meanwhile.
    Deviates: Biases and batch norm's shifts are measured by their own size too, as in
        https://github.com/davda54/sam; the authors' code measures them as SAM does, so that one of 0 moves.
    """

    seats = {Slot.GRADIENTS: "perturb"}
    excludes = frozenset({Trait.LOSS_SCALER})
    rho: float = tunable(0.5, search=Float(0.2, 2.0, log=True), legal=Above(0),
                         unit="L2 length in units of each weight")

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients at the worst point of the stretched ball."""
        both = twice(inner, run, lambda weights, gradients: adaptive(weights, gradients, self.rho))

        def sharp(batch: Batch) -> Tensor:
            loss, _ = both(batch)
            return loss
        return sharp

"""Gradual unfreezing: train the classifier, then layer after layer below it too."""
from __future__ import annotations

import math

from torch import Tensor

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import Trait
from ...nn.depth import levels_of
from ...nn.freezing import Freezing, freeze


def lowest(done: float, layers: int) -> int:
    """Return the number of the lowest layer that is trained, 0 being the stem; one more in each equal part of the time.

    Args:
        done: Fraction of the window that is over.
        layers: Layers of the model, its classifier included.
    """
    return layers - 1 - min(math.floor(max(done, 0.0) * layers + 1e-9), layers - 1)


class GradualUnfreezing(Freezing):
    """Train the classifier alone when the window opens, and one layer more, the next below, in each part of the window.

    The window is cut into as many equal parts as the model has layers; the stem joins in the last. A layer is what
    `layer_decay`, which goes well with it, takes for one: a block of a ResNet or of a vision transformer. Batch norm of
    layers that do not train yet keeps its statistics. With `stop` all is trained afterwards.

    Paper: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146, section 3.3, gradual unfreezing.
    Cost: cheaper than a step without it: no backward pass below the layers that train.
    Deviates: the paper unfreezes a layer each epoch; here the window says how long it takes.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.GRADIENTS: "freeze"}
    requires = frozenset({Trait.PRETRAINED})
    unfreezes = True

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients of the layers that train already."""
        level = levels_of(run.model, run.classes)
        layers = max(level.values()) + 1
        start, stop = run.windows.get(self.name, (0.0, 1.0))
        one_of = {level[name]: weight for name, weight in run.model.named_parameters()}     # a layer's all go together

        def unfrozen(batch: Batch) -> Tensor:
            now = lowest((run.progress - start) / (stop - start), layers)
            if not one_of[now].requires_grad or (now and one_of[now - 1].requires_grad):
                freeze(run, {name for name, here in level.items() if here >= now})
            return inner(batch)
        return unfrozen

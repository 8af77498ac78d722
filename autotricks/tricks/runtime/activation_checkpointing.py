"""Activation checkpointing: compute what is inside a block again rather than keep it."""
from __future__ import annotations

from dataclasses import replace

from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.activation_checkpointing import blocks


class ActivationCheckpointing(Trick):
    """Keep of each block of the model its input alone, and compute the rest again when its gradients are due.

    A block is one of a ResNet's or whatever stands in the model's sequences. Gradients, and statistics of batch norm,
    are those without it, bit for bit on a CPU: what is computed again reads the buffers that were read at first, and
    moves none. So there is no need for the momentum 1 - sqrt(1 - m) that makes two updates one.

    Paper: Chen et al. 2016, https://arxiv.org/abs/1604.06174, section 4.
    Cost: one more forward pass a step, which made a ResNet-20 on a CPU 1.3 times as slow; memory of the inputs of the
        blocks and of the inside of one block, of which there it took 0.7 times as much.

    Raises:
        ModelError: When the model has no blocks.
    """

    seats = {Slot.RUNTIME: "memory"}
    excludes = frozenset({Trait.COMPILES, Trait.MIXES_HIDDEN, Trait.INNER_GRADIENTS})

    def check(self, run: Run) -> None:
        """Refuse a model without blocks."""
        blocks(run.model)

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with blocks computed again."""
        return replace(inner, checkpointing=True)

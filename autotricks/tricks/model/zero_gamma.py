"""Zero-gamma: let every residual block begin as an identity."""
from __future__ import annotations

from torch import nn

from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...nn.residual import residual_blocks


def last_norm(block: nn.Module) -> nn.Module:
    """Return the normalization at the end of a residual block: bn3 where there is one, else bn2."""
    norm: nn.Module = getattr(block, "bn3", None) or block.get_submodule("bn2")
    return norm


class ZeroGamma(Trick):
    """Set the scale of the last normalization of each residual block to 0, so that only shortcuts speak at first.

    The network then begins with few layers, which are easy to train, and grows the others as it learns. timm does so
    unasked; here it is off unless this trick is on.

    Paper: He et al. 2018, https://arxiv.org/abs/1812.01187, section 3.1; Goyal et al. 2017,
        https://arxiv.org/abs/1706.02677, section 5.1.
    Raises: ModelError when the model has no residual blocks.
    Cost: none.
    Deviates: A model that says itself, as timm's do with `zero_init_last`, what is to be 0 is taken at its word.
    """

    seats = {Slot.MODEL: "block"}
    provides = frozenset({Trait.NEW_WEIGHTS})

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its residual branches silent."""
        asked = [module for module in inner.modules() if callable(getattr(module, "zero_init_last", None))]
        for module in asked:
            module.zero_init_last()  # type: ignore[operator]
        for block in [] if asked else residual_blocks(inner, self.name):
            nn.init.zeros_(last_norm(block).get_parameter("weight"))
        return inner

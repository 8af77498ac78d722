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


def last_gains(model: nn.Module) -> list[nn.Parameter]:
    """Return the factors of residual branches without norms, as timm's NF-nets have them: of the branch or its end."""
    found = []
    for block in model.modules():
        if hasattr(block, "skipinit_gain"):
            gain = block.skipinit_gain if block.skipinit_gain is not None else getattr(block.conv3, "gain", None)
            found += [gain] if isinstance(gain, nn.Parameter) else []
    return found


class ZeroGamma(Trick):
    """Set the scale of the last normalization of each residual block to 0, so that only shortcuts speak at first.

    In networks without norms, as NF-nets are, it is the gain of each residual branch. The network then begins with few
    layers, which are easy to train, and grows the others as it learns. timm does so unasked; here it is off unless this
    trick is on.

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
        gains = last_gains(inner)
        for gain in gains:
            nn.init.zeros_(gain)
        for block in [] if asked or gains else residual_blocks(inner, self.name):
            nn.init.zeros_(last_norm(block).get_parameter("weight"))
        return inner

"""Xavier: draw weights so that neither outputs nor gradients grow from layer to layer."""
from __future__ import annotations

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.trick import Trick
from ...nn.initialization import initialize


def variance(fan_in: int, fan_out: int) -> float:
    """Return the variance of the weights of a layer, 2 / (fan_in + fan_out)."""
    return 2 / (fan_in + fan_out)


class Xavier(Trick):
    """Draw the weights of all convolutions and linear layers with variance 2 / (fan_in + fan_out); biases are 0.

    Weights of attention and recurrent layers are drawn too, tokens and tables of positions are not.

    It keeps the variance where the activation is close to the identity, such as tanh; He et al. 2018,
    https://arxiv.org/abs/1812.01187, section 2.1, begin their ResNets with it. Without it the model's own
    initialization stays: Kaiming's for our ResNets and those of timm and torchvision.

    Paper: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html, equation 16.
    Raises: ModelError when the model has neither convolutions nor linear layers.
    Cost: none.
    Deviates: In a grouped convolution an input counts for the outputs of its own group; `torch.nn.init` counts all.
    """

    seats = {Slot.MODEL: "init"}
    distribution: str = tunable("uniform", search=Choice("uniform", "normal"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its weights drawn anew."""
        return initialize(inner, variance, run.generator, self.distribution == "uniform")

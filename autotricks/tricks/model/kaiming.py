"""Kaiming: draw weights so that ReLUs keep the size of what goes through the network."""
from __future__ import annotations

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.trick import Trick
from ...nn.initialization import initialize, kaiming


class Kaiming(Trick):
    """Draw the weights of all convolutions and linear layers with variance 2 / fan; biases are 0.

    Weights of attention and recurrent layers are drawn too, tokens and tables of positions are not.

    The factor 2 makes up for a ReLU, which halves the mean square. With fan_in the size of activations is kept on the
    way forth, with fan_out that of gradients on the way back. Without this trick the model's own initialization stays:
    fan_in for our ResNets, fan_out for those of timm and torchvision, a third of 1 / fan_in for bare layers of PyTorch.

    Paper: He et al. 2015, https://arxiv.org/abs/1502.01852, equations 10 and 14.
    Raises: ModelError when the model has neither convolutions nor linear layers.
    Cost: none.
    Deviates: In a grouped convolution an input counts for the outputs of its own group; `torch.nn.init` counts all.
    """

    seats = {Slot.MODEL: "init"}
    fan: str = tunable("fan_in", search=Choice("fan_in", "fan_out"))
    distribution: str = tunable("normal", search=Choice("normal", "uniform"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its weights drawn anew."""
        def variance(fan_in: int, fan_out: int) -> float:
            return kaiming(fan_in if self.fan == "fan_in" else fan_out)
        return initialize(inner, variance, run.generator, self.distribution == "uniform")

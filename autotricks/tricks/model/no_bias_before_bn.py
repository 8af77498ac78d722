"""No bias before batch norm: drop what batch norm takes away again."""
from __future__ import annotations

from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.trick import Trick
from ...nn.normalization import normalized_convolutions


class NoBiasBeforeBn(Trick):
    """Drop the bias of each convolution whose output goes into batch norm and nowhere else.

    Batch norm subtracts the mean of each channel, and a bias with it: its gradient is 0, but it costs memory and is
    moved by weight decay. Which convolutions these are is found by sending one image through the model. Those of
    ResNets have no bias to begin with, and nothing changes; VGGs of timm and torchvision have.

    Paper: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, section 3.2.
    Raises: ModelError when the model has no batch norm.
    Cost: less memory, no change of what is computed in training. A trick that puts another normalization in the place
        of batch norm does so afterwards; group norm would not have taken all of the bias away.
    """

    seats = {Slot.MODEL: "block"}

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model without these biases."""
        for name in normalized_convolutions(inner, run.image_shape, self.name):
            inner.get_submodule(name).register_parameter("bias", None)
        return inner

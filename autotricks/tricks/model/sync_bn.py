"""Synchronized batch norm: take the statistics of a batch over all devices that share it."""
from __future__ import annotations

from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.trick import Trick
from ...nn.normalization import batch_norms, synchronize


class SyncBn(Trick):
    """Normalize by the mean and variance of the whole batch where several GPUs train on parts of it.

    Where one process trains alone, this is batch norm; where several GPUs train one bundle, the trainer synchronizes
    all batch norms unasked, so that a bundle means the same on any number of them. It matters where the part of each
    device is small; torchvision's recipes found no gain from 128 images a device on.

    Paper: Peng et al. 2018, https://arxiv.org/abs/1711.07240, section 3.3, "cross-GPU batch normalization".
    Raises: ModelError when the model has no batch norm.
    Cost: two messages between the devices for each layer and step.
    """

    seats = {Slot.MODEL: "norm"}

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with synchronized layers in the place of batch norm."""
        batch_norms(inner, self.name)
        if run.runtime.ranks == 1:      # else the trainer does it, on devices that can
            synchronize(inner)
        return inner

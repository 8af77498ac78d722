"""Norm only: train the scales and shifts of normalization layers and the classifier alone."""
from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...errors import ModelError
from ...nn.classifier import head_weights
from ...nn.freezing import Freezing, freeze

KINDS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def norm_weights(model: nn.Module) -> set[str]:
    """Return the names of the weights of normalization layers: of torch's kinds, and of those called a norm."""
    return {name for place, module in model.named_modules()
            if isinstance(module, KINDS) or "Norm" in type(module).__name__
            for name, _ in module.named_parameters(place, recurse=False)}


class NormOnly(Freezing):
    """Train the weights of all normalization layers and the classifier; the rest of the model is frozen.

    A scale and a shift for each channel, half a percent of a ResNet, choose among features that stay as they are, be
    they pretrained or random: with random ones of a deep ResNet the paper still gets to 82 % on CIFAR-10. Batch norm
    goes on moving its statistics, to those of the images at hand. With `start` and `stop` it is a stage of training.

    Paper: Frankle et al. 2021, https://arxiv.org/abs/2003.00152, section 3, batch norm and output layer.
    Cost: that of a backward pass through all layers without the gradients of their weights; their momentum is idle.

    Raises:
        ModelError: When the model has no classifier, or no normalization with weights.
    """

    seats = {Slot.GRADIENTS: "freeze"}

    def check(self, run: Run) -> None:
        """Refuse a model without a classifier or without norms."""
        super().check(run)
        if not norm_weights(run.model):
            raise ModelError(f"norm_only: {type(run.model).__name__} has no normalization layer with weights. Take "
                             "another model or drop norm_only.")

    def enter(self, run: Run) -> None:
        """Freeze all but the norms and the classifier."""
        freeze(run, norm_weights(run.model) | head_weights(run.model, run.classes).keys(), "moving")

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return the gradients, which only norms and the classifier have."""
        return inner

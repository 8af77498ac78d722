"""BitFit: train biases and the classifier alone."""
from __future__ import annotations

from torch import nn

from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import Trait
from ...errors import ModelError
from ...nn.classifier import head_weights
from ...nn.freezing import Freezing, freeze


def biases(model: nn.Module) -> set[str]:
    """Return the names of a model's biases: what is called `bias`, or something and `_bias`, and has one dimension."""
    return {name for name, weight in model.named_parameters()
            if name.rpartition(".")[2].rpartition("_")[2] == "bias" and weight.ndim == 1}


class Bitfit(Freezing):
    """Train the biases of all layers, shifts of norms included, and the classifier; the rest of the model is frozen.

    Pretrained weights are bent as little as possible: a thousandth of a transformer's weights learn. That is a choice
    for little data, between `linear_probe` and training all. Biases take a larger learning rate than all weights would.
    Batch norm keeps its statistics, so a network with it behaves in training as in evaluation. With `start` and `stop`
    it is a stage of the training.

    Paper: Ben Zaken et al. 2022, https://arxiv.org/abs/2106.10199, section 3.
    Cost: that of a backward pass through all layers without the gradients of their weights; their momentum is idle.

    Raises:
        ModelError: When the model has no classifier, or no bias below it.
    """

    seats = {Slot.GRADIENTS: "freeze"}
    requires = frozenset({Trait.PRETRAINED})

    def check(self, run: Run) -> None:
        """Refuse a model without a classifier or without biases."""
        if biases(run.model) <= head_weights(run.model, run.classes).keys():
            raise ModelError(f"bitfit: {type(run.model).__name__} has no bias below its classifier. Take another "
                             "model, or linear_probe in its place.")

    def enter(self, run: Run) -> None:
        """Freeze all but biases and the classifier."""
        freeze(run, biases(run.model) | head_weights(run.model, run.classes).keys())

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return the gradients, which only biases and the classifier have."""
        return inner

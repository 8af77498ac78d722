"""Linear probe: train the classifier alone."""
from __future__ import annotations

from ...core.domain import Between, Choice, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import Trait
from ...nn.classifier import head_weights
from ...nn.freezing import Freezing, freeze


class LinearProbe(Freezing):
    """Train the classifier alone, on the features of pretrained weights, which stay as they are.

    Over the whole training it is the choice for little data that is like what the weights were trained on; batch norm
    keeps its statistics. With `stop`, 0.3 say, it is the first stage of two: after it all is trained, from a
    classifier that fits the features, which spoils them less. Nothing is drawn anew; `classifier_retraining` does so.
    Where `pretrained` is given no file, the features are random ones. Of a detector all but the backbone is trained,
    as in Vasconcelos et al. 2022, https://arxiv.org/abs/2204.00484.

    What goes into the classifier is computed once an image and kept, where no trick of the window changes images. With
    augmentation it is computed anew in every step, or, with `views`, once for so many augmented views of each image, of
    which each step then draws one. Mixing and resizing of batches need the images themselves.

    Paper: Kumar et al. 2022, https://arxiv.org/abs/2202.10054, section 3, linear probing, then fine-tuning.
    Cost: cheaper than a step without it: one forward pass, no backward pass below the classifier.
    Deviates: layers that other tricks put before the classifier are not trained either.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.GRADIENTS: "freeze"}
    requires = frozenset({Trait.PRETRAINED})
    views: int = tunable(0, search=Choice(0), legal=Between(0, 1000), unit="views of an image")

    def enter(self, run: Run) -> None:
        """Freeze all but the classifier."""
        freeze(run, head_weights(run.model, run.classes).keys())
        run.views = self.views

    def leave(self, run: Run) -> None:
        """Train all of the model again, on images."""
        super().leave(run)
        run.views = 0

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return the gradients, which only the classifier has."""
        return inner

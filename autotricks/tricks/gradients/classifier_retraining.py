"""Classifier re-training: draw the classifier anew and train it alone on features that stay as they are."""
from __future__ import annotations

import torch

from ...core.domain import Choice, tunable
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import DataTrait
from ...nn.classifier import classifier
from ...nn.freezing import Freezing, freeze


class ClassifierRetraining(Freezing):
    """Re-initialize the classifier when the window opens and train it alone; the rest of the model is frozen (cRT).

    The paper draws classes alike in this stage: `class_balanced` in the same window. The learning rate must be of use
    then: `warm_restart` at the moment where the window opens brings it back. Batch norm keeps the statistics of the
    first stage; it goes on moving them with `norms: moving`, which the code of the bag of tricks for long-tailed
    recognition does. When the window closes, all of the model is trained again.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 4, classifier re-training.
    Cost: cheaper than a step without it: one forward pass, no backward pass below the classifier.
    Deviates: weights and bias are drawn uniformly within 1 / sqrt(features), as torch.nn.Linear draws them.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.GRADIENTS: "freeze"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose logits begin far below 0
    opens = 0.85
    norms: str = tunable("fixed", search=Choice("fixed"), legal=Choice("fixed", "moving"))

    def enter(self, run: Run) -> None:
        """Draw the classifier anew and freeze the rest."""
        name = classifier(run.model, run.classes)
        head = {f"{name}.{word}": value for word, value in run.model.get_submodule(name).named_parameters()}
        bound = 1 / head[f"{name}.weight"].shape[1] ** 0.5
        run.renew({word: torch.empty_like(value).uniform_(-bound, bound, generator=run.generator)
                   for word, value in head.items()})
        freeze(run, head.keys(), self.norms)

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return the gradients, which only the classifier has."""
        return inner

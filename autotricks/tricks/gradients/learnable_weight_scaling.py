"""Learnable weight scaling: train one factor for each class's weight vector, and nothing else."""
from __future__ import annotations

from torch import Tensor

from ...core.batch import Batch
from ...core.run import Run
from ...core.slots import Gradients, Slot
from ...core.traits import DataTrait, Trait
from ...nn.classifier import classifier
from ...nn.freezing import Freezing, freeze

KEY = "learnable_weight_scaling.directions"


def along(gradient: Tensor, directions: Tensor) -> Tensor:
    """Return the step of f * w for the gradient of its factor f: each row's product with its direction w, times w.

    Shapes:
        gradient: [C, F], of the scaled weights.
        directions: [C, F].
        returns: [C, F].
    """
    return (gradient * directions).sum(1, keepdim=True) * directions


class LearnableWeightScaling(Freezing):
    """Train a factor f for each class, with f * w in place of its weights w when the window opened; freeze the rest.

    Each class's weight vector keeps its direction; its length is learned. It needs no new weights: SGD on f moves f * w
    by the gradient's part along w, times |w|^2, which is what is left of the gradient here; weight decay acts on f. The
    paper draws classes alike in this stage: `class_balanced` in the same window, and `warm_restart` where it opens.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 4, equation 5.
    Cost: cheaper than a step without it: one forward pass, no backward pass below the classifier.
    Deviates: the bias stays as it is. Equal to training f for SGD; an optimizer that scales each weight by itself,
        such as Adam, leaves the direction somewhat.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.GRADIENTS: "freeze"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose classes share no softmax
    excludes = frozenset({Trait.COSINE_HEAD})
    opens = 0.85

    def enter(self, run: Run) -> None:
        """Note the directions, forget the momentum that points elsewhere, and freeze the rest."""
        name = f"{classifier(run.model, run.classes)}.weight"
        directions = run.model.get_parameter(name).detach().clone()
        run.memory[KEY] = directions
        run.renew({name: directions})
        freeze(run, {name})

    def leave(self, run: Run) -> None:
        """Train all of the model again."""
        run.memory.pop(KEY, None)
        super().leave(run)

    def gradients(self, inner: Gradients, run: Run) -> Gradients:
        """Return gradients along the directions."""
        weight = run.model.get_parameter(f"{classifier(run.model, run.classes)}.weight")
        directions = run.memory[KEY]

        def scaling(batch: Batch) -> Tensor:
            loss = inner(batch)
            assert weight.grad is not None
            weight.grad = along(weight.grad, directions)
            return loss
        return scaling

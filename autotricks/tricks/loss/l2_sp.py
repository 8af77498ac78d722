"""L2-SP: pull weights towards the pretrained ones instead of zero."""
from __future__ import annotations

import torch
from torch import Tensor

from ...core.batch import Batch
from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Loss, Slot
from ...core.traits import Trait
from ...core.trick import Trick
from ...functional.tensor_lists import less, norms
from ...nn.classifier import classifier, head_weights

KEY = "l2_sp."      # and the name of a weight: where it was when the window opened


def half_squared(tensors: list[Tensor]) -> Tensor:
    """Return half the sum of the squares of all values, []; its gradient is the values themselves."""
    return torch.stack(norms(tensors)).square().sum() / 2


class L2Sp(Trick):
    """Minimize loss + `alpha` / 2 * |w - w0|^2 + `beta` / 2 * |v|^2, v the classifier, w all below it, w0 their start.

    Weight decay pulls all that was learned before towards 0; this pulls it back to where it was when the window opened,
    which is at the weights of the file where it opens with training. It takes the place of weight decay: set that of
    the optimizer to 0. Biases and norms are held as weights are; all of a
    detector but its backbone counts as the classifier.

    Paper: Li et al. 2018, https://arxiv.org/abs/1802.01483, section 3, L2-SP.
    Cost: three passes over the weights for each micro-batch; a second copy of them, which checkpoints hold.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.LOSS: "term"}
    requires = frozenset({Trait.PRETRAINED})
    alpha: float = tunable(0.01, search=Float(1e-4, 1.0, log=True), legal=at_least(0), unit="loss for |w - w0|^2 / 2")
    beta: float = tunable(0.01, search=Float(1e-4, 0.1, log=True), legal=at_least(0), unit="loss for |v|^2 / 2")

    def check(self, run: Run) -> None:
        """Refuse a model without a classifier."""
        classifier(run.model, run.classes)

    def enter(self, run: Run) -> None:
        """Note where the weights are."""
        run.memory.update({f"{KEY}{name}": weight.detach().clone() for name, weight in _below(run).items()})

    def leave(self, run: Run) -> None:
        """Forget where they were."""
        for name in _below(run):
            run.memory.pop(f"{KEY}{name}", None)

    def loss(self, inner: Loss, run: Run) -> Loss:
        """Return the loss with the whole penalty on each sample: the step takes the mean over samples."""
        weights = list(_below(run).values())
        starts = [run.memory[f"{KEY}{name}"] for name in _below(run)]
        head: list[Tensor] = list(head_weights(run.model, run.classes).values())

        def penalized(logits: Tensor, batch: Batch) -> Tensor:
            held = self.alpha * half_squared(less(weights, starts)) if weights else 0
            return inner(logits, batch) + held + self.beta * half_squared(head)
        return penalized


def _below(run: Run) -> dict[str, Tensor]:
    """Return all weights but those of the classifier, by name."""
    head = head_weights(run.model, run.classes)
    return {name: weight for name, weight in run.model.named_parameters() if name not in head}

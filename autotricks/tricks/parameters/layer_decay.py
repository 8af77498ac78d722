"""Layer decay: the deeper below the classifier, the smaller the learning rate."""
from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick
from ...nn.depth import levels_of


class LayerDecay(Trick):
    """Multiply the learning rate of each layer by `decay` to the power of the layers between it and the classifier.

    The classifier learns at the optimizer's rate, the stem slowest: for weights that were trained before. Weight decay
    that goes with the rate, as AdamW's, shrinks alike. Which layer is how deep a timm model says itself, so that rates
    are those of timm's own layer decay; of other models, the order in which their parts were made is taken for it, and
    a block counts as one layer. All of a detector but its backbone is one layer, the last.

    Paper: Clark et al. 2020, https://arxiv.org/abs/2003.10555, its fine-tuning; after Howard and Ruder 2018,
        https://arxiv.org/abs/1801.06146, section 3.2, discriminative fine-tuning.
    Cost: none, but for a parameter group for each layer.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.PARAMETERS: "rate", Slot.OPTIMIZER: "wrap"}
    decay: float = tunable(0.75, search=Float(0.65, 1.0), legal=Between(0, 1, without=(0,)), unit="factor a layer")

    def parameters(self, inner: Groups, run: Run) -> Groups:
        """Return each group cut by layer, the classifier's first."""
        level = _levels(run)
        return [{**group, "params": [weight for weight in group["params"] if level[weight] == here]}
                for here in sorted(set(level.values()), reverse=True) for group in inner
                if any(level[weight] == here for weight in group["params"])]

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder whose optimizer has the rate of each layer lowered."""
        level = _levels(run)
        top = max(level.values())

        def lowered(groups: Groups) -> Optimizer:
            optimizer = inner(groups)
            for group in optimizer.param_groups:
                group["lr"] *= self.decay ** (top - level[group["params"][0]])
            return optimizer
        return lowered


def _levels(run: Run) -> dict[Tensor, int]:
    by_name = levels_of(run.model, run.classes)
    return {weight: by_name[name] for name, weight in run.model.named_parameters()}

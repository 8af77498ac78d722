"""Head learning rate: let the classifier learn faster than what was trained before."""
from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer

from ...core.domain import Above, Float, tunable
from ...core.run import Run
from ...core.slots import Build, Groups, Slot
from ...core.trick import Trick
from ...nn.classifier import head_weights


class HeadLr(Trick):
    """Multiply the learning rate of the classifier by `factor`; the rest of the model learns at the optimizer's rate.

    The classifier is drawn anew for new classes, while pretrained weights need small steps. Weight decay that goes with
    the rate, as SGD's and AdamW's, grows alike. With `layer_decay` both factors hold. `lr_finder` finds the largest
    rate, which is then the classifier's. Of a detector all but the backbone learns as the classifier.

    Paper: Long et al. 2015, https://arxiv.org/abs/1502.02791, section 4.1, where the new classifier has ten times the
        rate of the layers below.
    Cost: none, but for one more parameter group.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.PARAMETERS: "rate", Slot.OPTIMIZER: "wrap"}
    factor: float = tunable(10.0, search=Float(1.0, 100.0, log=True), legal=Above(0), unit="times the rate of the rest")

    def parameters(self, inner: Groups, run: Run) -> Groups:
        """Return each group in two, those of the classifier last: reports show the rate of the first."""
        head = _head(run)
        parted = [{**group, "params": [weight for weight in group["params"] if (weight in head) is ours]}
                  for ours in (False, True) for group in inner]
        return [group for group in parted if group["params"]]

    def optimizer(self, inner: Build, run: Run) -> Build:
        """Return a builder whose optimizer has the rate of the classifier raised."""
        head = _head(run)

        def raised(groups: Groups) -> Optimizer:
            optimizer = inner(groups)
            for group in optimizer.param_groups:
                group["lr"] *= self.factor if group["params"][0] in head else 1
            return optimizer
        return raised


def _head(run: Run) -> set[Tensor]:
    return set(head_weights(run.model, run.classes).values())

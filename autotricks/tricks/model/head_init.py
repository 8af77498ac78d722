"""Head initialization: begin with a classifier that knows nothing, or nothing but how frequent classes are."""
from __future__ import annotations

from torch import Tensor, nn

from ...core.domain import Choice, at_least, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...functional.class_priors import log_prior
from ...nn.classifier import classifier


class HeadInit(Trick):
    """Draw the classifier's weights with deviation `std`, by default 0, and set its bias to 0 or to the log of shares.

    With weights of 0 all classes are alike at first: the loss begins at log C, features of pretrained weights are left
    alone by the first step, and logits mean something from the first step on. With `bias: log_prior` the first
    prediction is the share of each class among the training images, so that no step is spent on learning it; a loss
    that takes the shares out of the logits wants `zero`.

    Paper: Kolesnikov et al. 2020, https://arxiv.org/abs/1912.11370, whose code begins with a head of zeros; the bias
        after Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 3.3, here for many classes.
    Cost: none.
    Deviates: a class without training images counts as if it had one. Where another trick takes the classifier's bias
        away, the shares go with it.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.MODEL: "block"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose logits begin far below 0
    excludes = frozenset({Trait.COSINE_HEAD})
    std: float = tunable(0.0, search=Choice(0.0, 0.001, 0.01), legal=at_least(0), unit="standard deviation of a weight")
    bias: str = tunable("zero", search=Choice("zero", "log_prior"))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model with its classifier set."""
        head = inner.get_submodule(classifier(inner, run.classes))
        nn.init.normal_(head.get_parameter("weight"), std=self.std, generator=run.generator)
        bias = getattr(head, "bias", None)
        if isinstance(bias, Tensor):
            bias.data.copy_(log_prior(run.counts) if self.bias == "log_prior" else 0 * run.counts)
        return inner

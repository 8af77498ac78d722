"""Prior removal: take the class frequencies out of the logits when predicting."""
from __future__ import annotations

from torch import Tensor, nn

from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Model, Predict, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Advice, Trick
from ...functional import class_priors

BUFFER = "removed_log_prior"


def without_prior(logits: Tensor, log_prior: Tensor, tau: float) -> Tensor:
    """Return logits - tau * log prior.

    Shapes:
        logits: [B, C].
        log_prior: [C].
        returns: [B, C].
    """
    return logits - tau * log_prior


def held_prior(model: nn.Module) -> Tensor:
    """Return the log of the class shares, [C], that lie in the model or in a module inside it."""
    return next(buffer for name, buffer in model.named_buffers() if name.rpartition(".")[2] == BUFFER)


class PriorRemoval(Trick):
    """Train as ever; predict with logits - tau * log pi, pi the share of each class in the training split.

    Where cross-entropy was minimized, tau = 1 leaves log p(image | class), which ranks classes as if all were equally
    frequent. The shares lie in the model as a buffer, so they are exported with its weights.

    Paper: Menon et al. 2021, https://arxiv.org/abs/2007.07314, equation 9.
    Cost: one addition to the logits when predicting; nothing while training.
    Deviates: A class without training images counts as if it had one.
    """

    seats = {Slot.PREDICT: "adjust", Slot.MODEL: "block"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REMOVES_PRIOR})
    advice = (
        Advice(Trait.REMOVES_PRIOR, "the loss takes the class frequencies out of the logits, and they are taken out "
               "again when predicting", "Menon et al. 2021, https://arxiv.org/abs/2007.07314: one or the other"),
        Advice(Trait.RESAMPLES, "it removes the frequencies of the data, which are not those that were drawn, so rare "
               "classes are favored twice", "cf. Ren et al. 2020 on over-balance, https://arxiv.org/abs/2007.10740"))
    tau: float = tunable(1.0, search=Float(0.0, 2.5), legal=at_least(0), unit="times the log of the class shares")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model, which now holds the log of the class shares."""
        inner.register_buffer(BUFFER, class_priors.log_prior(run.counts))
        return inner

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return a prediction from adjusted logits."""
        # What predicts may be the average of models, and the class counts may be unknown where it was exported to.
        log_prior = held_prior(inner if isinstance(inner, nn.Module) else run.model)

        def adjusted(images: Tensor) -> Tensor:
            return without_prior(inner(images), log_prior, self.tau)
        return adjusted

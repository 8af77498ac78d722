"""Prior bias: train with the log of the class frequencies as a fixed bias of the logits, predict without it."""
from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ...core.domain import Float, at_least, tunable
from ...core.run import Run
from ...core.slots import Model, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Advice, Trick
from ...functional.class_priors import OVER_BALANCE, log_prior


def biased(bias: Tensor, model: nn.Module, images: tuple[Tensor], logits: Tensor) -> Tensor:
    """Return logits + bias where the model is in training mode, else the logits.

    Shapes:
        bias: [C].
        logits: [B, C].
        returns: [B, C].
    """
    return logits + bias if model.training else logits


class PriorBias(Trick):
    """Add tau * log pi to the model's logits while it trains, pi the share of each class; predict without it.

    Under cross-entropy this is logit adjustment, written into the model: so it goes with every base loss, with focal
    loss for one, where `logit_adjustment` is a base loss itself and may have a window. The bias is fixed and comes on
    top of the one that is learned. Left in when predicting it gives back plain training, which is why it is gone when
    the model is evaluated, and no part of the weights that are exported.

    Paper: Menon et al. 2021, https://arxiv.org/abs/2007.07314, equation 10; as a fixed bias of the classifier it is the
        "mutual-information softmax" of competitions.
    Cost: one addition to the logits in training.
    Deviates: A class without training images counts as if it had one.
    """

    seats = {Slot.MODEL: "block"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    provides = frozenset({Trait.REMOVES_PRIOR})
    advice = (
        Advice(Trait.REMOVES_PRIOR, "class frequencies are taken out of the logits twice",
               "Menon et al. 2021, https://arxiv.org/abs/2007.07314: one or the other"),
        OVER_BALANCE)
    tau: float = tunable(1.0, search=Float(0.5, 2.5), legal=at_least(0), unit="times the log of the class shares")

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model, which now adds the bias in training mode."""
        inner.register_forward_hook(partial(biased, self.tau * log_prior(run.counts)))
        return inner

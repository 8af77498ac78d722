"""Tau-normalization: even out the lengths of the classifier's weight vectors when predicting."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...core.domain import Between, Float, tunable
from ...core.run import Run
from ...core.slots import Predict, Slot
from ...core.traits import DataTrait, Trait
from ...core.trick import Trick
from ...nn.classifier import classifier


def shortened(weight: Tensor, tau: float) -> Tensor:
    """Return each row w of a weight matrix divided by its length to the power of tau; a row of zeros stays.

    Shapes:
        weight: [C, D].
        returns: [C, D].
    """
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1, keepdim=True)
    return weight / lengths.clamp(min=1e-12).pow(tau)


class TauNormalization(Trick):
    """Predict with the classifier's weight vectors w divided by |w|^tau; the bias and the training stay as they are.

    Frequent classes tend to get longer vectors. tau = 0 changes nothing, tau = 1 makes all of them one long.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 4 on tau-normalized classifiers.
    Cost: one pass over the classifier's weights for each batch that is predicted; nothing in training.
    Deviates: The bias is kept; the paper's classifier is used without one.

    Raises:
        ModelError: When the model has no linear classifier.
    """

    seats = {Slot.PREDICT: "adjust"}
    excludes_data = frozenset({DataTrait.BOXES})     # whose classes share no softmax
    excludes = frozenset({Trait.COSINE_HEAD})
    tau: float = tunable(1.0, search=Float(0.0, 2.0, step=0.1), legal=Between(0, 2), unit="exponent of the length")

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return the model's logits with a rescaled classifier; the model itself is not changed."""
        if not isinstance(inner, nn.Module):
            raise TypeError("predict.adjust is the innermost seat of predict: it wraps the model")
        model = inner
        name = f"{classifier(inner, run.classes)}.weight"

        def evened(images: Tensor) -> Tensor:
            weight = shortened(model.get_parameter(name), self.tau)
            logits: Tensor = functional_call(model, {name: weight}, (images,))
            return logits
        return evened

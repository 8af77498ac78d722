"""Nearest class mean: predict the class whose mean of training features is nearest."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.domain import Choice, at_least, tunable
from ...core.images import CHUNK
from ...core.run import Run
from ...core.slots import Model, Predict, Slot
from ...core.traits import DataTrait
from ...core.trick import Trick
from ...functional.sampling import first_rows
from ...nn.classifier import classifier, features

OUT_OF_REACH = 3.0      # length of the mean of a class without images: it is 2 or more from all features of length 1


def class_means(units: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the mean of each class, and the mean squared distance of the features from the mean of their own class.

    Shapes:
        units: [M, F], of length 1.
        labels: [M], int64.
        returns: [C, F] and [].
    """
    counts = torch.bincount(labels, minlength=classes).unsqueeze(1)
    sums = torch.zeros(classes, units.shape[1], device=units.device).index_add_(0, labels, units)
    means = torch.where(counts > 0, sums / counts.clamp(min=1), OUT_OF_REACH / units.shape[1] ** 0.5)
    return means, (units - means[labels]).square().sum(1).mean()


class _Means(nn.Module):
    """What prediction needs of the training images; exported with the weights."""

    means: Tensor
    center: Tensor
    spread: Tensor

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, width))
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return what comes in: the model may be a sequence, which goes through all that it holds."""
        return hidden

    def learn(self, given: Tensor, labels: Tensor, centered: bool) -> None:
        """Note the means of features, [M, F], and their spread."""
        self.center.copy_(given.mean(0) if centered else torch.zeros_like(self.center))
        means, spread = class_means(F.normalize(given - self.center), labels, len(self.means))
        self.means.copy_(means)
        self.spread.copy_(spread.clamp(min=0.01))  # there is none where each class has one image

    def logits(self, given: Tensor) -> Tensor:
        """Return negative squared distances from the means, in units of the spread, [B, C], of features, [B, F]."""
        dots = F.linear(F.normalize(given - self.center), self.means)
        return (2 * dots - self.means.square().sum(1) - 1) / self.spread


class NearestClassMean(Trick):
    """Train as ever; predict the class whose mean is nearest to the image's features, in place of the classifier.

    Features are what goes into the classifier, less their own mean where `centered`, scaled to length 1. The logit is
    the negative squared distance, in units of the mean squared distance of training images from the mean of their own
    class. This scale changes no prediction and needs no search; without it softmax of numbers from -4 to 0 is all but
    even (calibration error on long-tailed digits .52 to .66 without, .06 to .10 with it). A class without training
    images is never predicted. The means lie in the model as buffers, so they are exported with its weights.

    Paper: Kang et al. 2020, https://arxiv.org/abs/1910.09217, section 4, nearest class mean classifier.
    Cost: nothing in training; before each evaluation one forward pass over at most `shots` images of each class,
        whose features are kept meanwhile.
    Deviates: means are over the first `shots` training images of each class, not over all; the scale. Centering is the
        default in the authors' code, https://github.com/facebookresearch/classifier-balancing, but not in the paper.

    Raises:
        ModelError: When the model has no classifier.
    """

    seats = {Slot.MODEL: "block", Slot.PREDICT: "adjust"}
    requires_data = frozenset({DataTrait.ONE_LABEL})
    shots: int = tunable(100, search=Choice(100), legal=at_least(1), unit="training images of a class")
    centered: bool = tunable(True, search=Choice(True, False))

    def model(self, inner: Model, run: Run) -> Model:
        """Return the model, which now has room for the means."""
        weight = inner.get_parameter(f"{classifier(inner, run.classes)}.weight")
        inner.add_module("class_means", _Means(run.classes, weight.shape[1]).to(run.device))
        return inner

    def predict(self, inner: Predict, run: Run) -> Predict:
        """Return a prediction from means that are taken now; where there are no training images, from those held."""
        if not isinstance(inner, nn.Module):
            raise TypeError("predict.adjust is the innermost seat of predict: it wraps the model")
        head = inner.get_submodule(classifier(inner, run.classes))
        means = next(module for module in inner.modules() if isinstance(module, _Means))
        if len(run.images):
            rows = first_rows(run.targets.single, run.counts, self.shots)
            inner.eval()
            with torch.no_grad():
                parts = [features(inner, head, run.normalize(run.images[part]))[1] for part in rows.split(CHUNK)]
                means.learn(torch.cat(parts).float(), run.targets.single[rows], self.centered)

        def nearest(images: Tensor) -> Tensor:
            return means.logits(features(inner, head, images)[1].float())
        return nearest

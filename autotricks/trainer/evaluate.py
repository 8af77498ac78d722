"""What a model is worth: accuracy, balanced accuracy, many/medium/few-shot accuracy, calibration error."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.dataset import Split
from ..core.run import Run
from ..core.slots import Predict

CHUNK = 256             # images a forward pass; larger ones are slower on a CPU
MANY, FEW = 100, 20     # training images of a class: many-shot above, few-shot below (Liu et al. 2019)
BINS = 15
SEEN = 1000             # training images that are looked at once, at the end


def named(predict: Predict, split: Split, run: Run, prefix: str) -> dict[str, float]:
    """Return the figures of a split by name, such as `val/accuracy`; the device is waited for."""
    values = evaluate(predict, split, run).tolist()
    return {f"{prefix}/{name}": value for name, value in zip(names(run.counts, split.labels), values, strict=True)}


def learned(predict: Predict, train: Split, run: Run) -> dict[str, float]:
    """Return accuracies on up to `SEEN` training images as they are, neither augmented nor mixed.

    Accuracy in the steps themselves says nothing under mixing, where an image has two labels, nor under
    re-sampling. Above validation's by much, this says that the model has learned its images by heart.
    """
    found = named(predict, train.sample(SEEN), run, "train")
    return {name: found[name] for name in ("train/accuracy", "train/balanced_accuracy")}


def evaluate(predict: Predict, split: Split, run: Run) -> Tensor:
    """Return the figures named by `names`, as one tensor on the device.

    Args:
        predict: Normalized images to logits.
        split: What to evaluate on.
        run: Class counts, mean and deviation.
    """
    with torch.inference_mode():
        logits = torch.cat([predict(run.normalize(images)) for images in split.images.split(CHUNK)])
        return figures(logits.float(), split.labels, run.counts)


def names(counts: Tensor, labels: Tensor) -> list[str]:
    """Return the names of the figures of these labels, in the order in which `figures` returns them."""
    shown = torch.bincount(labels, minlength=len(counts)) > 0
    return ["loss", "accuracy", "balanced_accuracy", "calibration_error", *groups(counts, shown)]


def groups(counts: Tensor, shown: Tensor) -> dict[str, Tensor]:
    """Return the classes, [C] bool, that are many-, medium- and few-shot among those shown, without empty groups.

    Shapes:
        counts: [C], training images of each class.
        shown: [C] bool, whether the class occurs where it is evaluated.
    """
    masks = {"many_shot": counts > MANY, "medium_shot": (counts <= MANY) & (counts >= FEW), "few_shot": counts < FEW}
    return {name: mask & shown for name, mask in masks.items() if bool((mask & shown).any())}


def figures(logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Return the figures of a set of predictions.

    Shapes:
        logits: [N, C].
        labels: [N], int64.
        counts: [C], training images of each class.
    """
    confidence, predicted = logits.softmax(1).max(1)
    right = (predicted == labels).float()
    sizes = torch.bincount(labels, minlength=len(counts))
    recall = torch.bincount(labels, weights=right, minlength=len(counts)) / sizes.clamp(min=1)
    shown = sizes > 0
    parts = [F.cross_entropy(logits, labels), right.mean(), recall[shown].mean(),
             calibration_error(confidence, right)]
    parts += [recall[mask].mean() for mask in groups(counts, shown).values()]
    return torch.stack([part.float() for part in parts])


def calibration_error(confidence: Tensor, right: Tensor) -> Tensor:
    """Return the expected calibration error over 15 equal bins of confidence.

    Paper: Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3.

    Shapes:
        confidence: [N], in [0, 1].
        right: [N], 1 where the prediction is right.
    """
    place = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gap = torch.bincount(place, weights=right - confidence, minlength=BINS)
    return gap.abs().sum() / len(confidence)

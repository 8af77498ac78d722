"""What a model is worth: its output on a split, measured by the meter of its task."""
from __future__ import annotations

import torch

from ..core.dataset import Split
from ..core.images import CHUNK
from ..core.run import Run
from ..core.slots import Predict

SEEN = 1000     # training images that are looked at once, at the end


def evaluate(predict: Predict, split: Split, run: Run, prefix: str) -> dict[str, float]:
    """Return the metrics of a split by name, such as `val/accuracy`; the device is waited for once.

    Args:
        predict: What a split holds, images or features, to output.
        split: What to evaluate on.
        run: Task, class counts, mean and deviation.
        prefix: Of the names.
    """
    meter = run.task.meter(run.counts, split.targets)
    with torch.inference_mode():
        for images, targets in zip(split.images.split(CHUNK), split.targets.split(CHUNK), strict=True):
            meter.update(predict(images), targets)
        values = meter.compute()
        numbers = torch.stack([*values.values()]).tolist()
    return {f"{prefix}/{name}": number for name, number in zip(values, numbers, strict=True)}


def train_metrics(predict: Predict, train: Split, run: Run) -> dict[str, float]:
    """Return how well up to `SEEN` training images are known as they are, neither augmented nor mixed.

    Accuracy in the steps themselves says nothing under mixing, where an image has two labels, nor under
    re-sampling. Above validation's by much, this says that the model has learned its images by heart.
    """
    values = evaluate(predict, train.sample(SEEN), run, "train")
    return {name: values[name] for name in (f"train/{metric}" for metric in run.task.train_metrics)}

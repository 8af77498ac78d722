"""What a model is worth: its output on a split, measured by the meter of its task."""
from __future__ import annotations

import torch

from ..core.dataset import Dataset, Split
from ..core.images import chunk
from ..core.run import Run
from ..core.slots import Output, Predict
from ..core.task import Measured
from ..stats.test_results import TestResult

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
        size = chunk(split.images.shape)
        for images, targets in zip(split.images.split(size), split.targets.split(size), strict=True):
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


def outputs(predict: Predict, split: Split) -> Output:
    """Return what a model says of a split; `predict` takes images in [0, 1]."""
    with torch.inference_mode():
        parts = split.images.split(chunk(split.images.shape))
        return torch.cat([predict(part.float() / 255) for part in parts]).float()


def measured(predict: Predict, split: Split, dataset: Dataset) -> dict[str, float]:
    """Return every figure of a model on a split, by name; `predict` takes images in [0, 1]."""
    meter = dataset.task.meter(dataset.counts.float(), split.targets, whole=True)
    meter.update(outputs(predict, split), split.targets)
    return {name: float(value) for name, value in meter.compute().items()}


def tested(predict: Predict, dataset: Dataset) -> TestResult:
    """Return what a model does on test; what has to be fitted is fitted on validation."""
    assert dataset.test is not None, "confirmation needs the test split"
    test = Measured(outputs(predict, dataset.test), dataset.test.targets)
    validation = Measured(outputs(predict, dataset.validation), dataset.validation.targets)
    return dataset.task.test(validation, test, dataset.counts.float())

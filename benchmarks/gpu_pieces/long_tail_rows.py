"""Rows of CIFAR-10-LT-100 at the paper's setting, each from nothing to the last figure, compiling included.

12,406 images, ResNet-32, batches of 128, 10,000 images evaluated after every epoch; 200 epochs, or 400. Without a file
the images are noise, which costs the same; its error is that of guessing. A row that its time does not suffice for is
ended, and told as what it would have taken. With a file the error is that of its test split after the last epoch, as
the paper has it: a replication, not a search. The bundles are those of search_spaces/published, made fast: bf16, NHWC,
compiled.
"""
from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import Row, Target, spread

from autotricks.core.bundle import Bundle
from autotricks.core.dataset import Dataset, Split
from autotricks.core.reporting import End, Metrics, Verdict
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.trial import TrialResult, run_trial
from autotricks.tricks.catalog import make

from .speed import COMPILED, FAST
from .told import Told

CLASSES, LARGEST, IMBALANCE, SHOWN = 10, 5000, 100, 1000    # SHOWN: validation images of each class
SPARED = 3.0        # seconds before the end of its time at which a row ends itself
Tricks = dict[str, dict[str, Any]]
PLAIN: Tricks = {"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 2e-4},
                 "step": {"first": 0.8, "second": 0.9, "factor": 0.01}, "warmup": {"epochs": 5.0, "first": 1 / 3},
                 "crop": {"padding": 4}, "flip": {}}
ROWS: dict[str, tuple[int, Tricks]] = {     # epochs and tricks, as published
    "cross_entropy": (200, {**PLAIN, "cross_entropy": {}}),
    "balanced_softmax": (200, {**PLAIN, "balanced_softmax": {}}),
    "mixup_balanced_softmax": (400, {**PLAIN, "mixup": {"alpha": 1.0}, "balanced_softmax": {}}),
    "mixup": (400, {**PLAIN, "mixup": {"alpha": 1.0}})}
PUBLISHED = {"cross_entropy": 30.12, "balanced_softmax": 23.63, "mixup_balanced_softmax": 18.65, "mixup": 28.55}


def bundle_of(name: str, fast: Tricks, quick: bool = False) -> Bundle:
    """Return the bundle of a row."""
    epochs, tricks = ROWS[name]
    whole = Bundle(tuple(make(*pair) for pair in {**tricks, **fast}.items()), "resnet32", epochs, 128)
    return Bundle(whole.rescaled(2).uses, "resnet8", 2, 16) if quick else whole


def sizes(shrink: int = 1) -> list[int]:
    """Return the images of each class in training."""
    # a quotient may come out a hair below the whole number that it is
    found = [int(LARGEST * IMBALANCE ** (-label / (CLASSES - 1)) + 1e-9) for label in range(CLASSES)]
    return [max(1, size // shrink) for size in found]


def noise(shrink: int = 1) -> Dataset:
    """Return noise with the class sizes of CIFAR-10-LT at imbalance 100, and of its test split."""
    labels = torch.repeat_interleave(torch.arange(CLASSES), torch.tensor(sizes(shrink)))
    shown = torch.arange(CLASSES).repeat(SHOWN // shrink)
    train, validation = (Split.plain(torch.randint(0, 256, (len(each), 3, 32, 32), dtype=torch.uint8), each)
                         for each in (labels, shown))
    return _dataset(train, validation, "noise")


def read(file: Path) -> Dataset:
    """Return the first images of each class as training split, and the test split of a file.

    Args:
        file: NumPy's npz with x_train and x_test, [N, 32, 32, 3] uint8, y_train and y_test, [N]; of CIFAR-10 whole or
            cut to a long tail already.
    """
    with np.load(file) as arrays:
        train, test = ((torch.from_numpy(arrays[f"x_{part}"]).permute(0, 3, 1, 2).contiguous(),
                        torch.from_numpy(arrays[f"y_{part}"].astype(np.int64)).flatten()) for part in ("train", "test"))
    kept = torch.cat([(train[1] == label).nonzero().flatten()[:size] for label, size in enumerate(sizes())])
    return _dataset(Split.plain(train[0][kept], train[1][kept]), Split.plain(*test), file.name)


def _dataset(train: Split, validation: Split, source: str) -> Dataset:
    assert isinstance(train.images, torch.Tensor)
    pixels = train.images.float() / 255
    return Dataset(train, validation, None, tuple("abcdefghij"), tuple(pixels.mean((0, 2, 3)).tolist()),
                   tuple(pixels.std((0, 2, 3)).tolist()), source, source, CLASSIFICATION)


class Clock:
    """Hear the epochs of a row, and stop it before its time is over.

    Args:
        deadline: By `time.monotonic`.

    Attributes:
        ends: When each epoch ended.
    """

    def __init__(self, deadline: float):
        self.deadline = deadline
        self.ends: list[float] = []

    def __call__(self, metrics: Metrics) -> Verdict:
        """Note an epoch; stop where another might not end in time."""
        self.ends.append(time.monotonic())
        last = self.ends[-1] - self.ends[-2] if len(self.ends) > 1 else 0.0
        return Verdict.STOP if self.ends[-1] + last > self.deadline else Verdict.CONTINUE

    def whole(self, begun: float, epochs: int) -> float:
        """Return the seconds that all epochs would take, the first as long as it did; NaN before the second ended."""
        if len(self.ends) < 2:
            return math.nan
        return self.ends[0] - begun + (epochs - 1) * (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def row(told: Told, name: str, dataset: Dataset, fast: Tricks) -> Row:
    """Return how long a row takes, or would have taken."""
    bundle = bundle_of(name, fast, told.quick)
    clock = Clock(told.deadline - SPARED)
    begun = time.monotonic()
    result = run_trial(bundle, dataset, clock, told.device)
    seconds = result.seconds if result.end is End.FINISHED else clock.whole(begun, bundle.epochs)
    target = Target(most=60) if name == "cross_entropy" and not told.quick else None
    what = f"{name}, {bundle.epochs} epochs{', compiled' if 'torch_compile' in fast else ''}"
    figure = None if math.isnan(seconds) else spread([seconds])
    return Row("CIFAR-10-LT-100" if told.data else "noise of its shape", what, figure, "s", target,
               _said(name, result, clock, told), {"history": [metrics.values for metrics in result.history]})


def _said(name: str, result: TrialResult, clock: Clock, told: Told) -> str:
    whole = result.end is End.FINISHED
    error = 100 * (1 - result.metrics.get("val/accuracy", float("nan")))
    done = f"{result.end.value} after {len(clock.ends)} epochs and {result.seconds:.0f} s"
    if not whole:
        return f"{done}; the seconds are what all epochs would have taken"
    return f"{done}; error {error:.2f} %" + (f", published {PUBLISHED[name]:.2f} %" if told.data else " of guessing")


def _data(told: Told) -> Dataset:
    return read(told.data) if told.data else noise(100 if told.quick else 1)


def first(told: Told) -> Iterator[Row]:
    """Yield the paper's baseline."""
    yield row(told, "cross_entropy", _data(told), FAST if told.quick else COMPILED)


def more(told: Told) -> Iterator[Row]:
    """Yield the other rows, as many as there is time for; the last may be ended."""
    dataset = _data(told)
    for name in [*ROWS][1:2] if told.quick else [*ROWS][1:]:
        if told.left > 2 * SPARED:
            yield row(told, name, dataset, FAST if told.quick else COMPILED)
        else:
            yield Row("", name, None, "s", note="not reached")

"""Classification: each image is of one class."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...core.slots import Output
from ...core.targets import Targets
from ...core.task import PROBABILITIES, UNFITTED, Answer, Back, Decoded, Fitted, Measured, Metric, Move
from ...core.traits import DataTrait
from ...errors import DataError
from ...io.did_you_mean import listed, suggest
from ...models import build
from ...stats.test_results import TestResult
from ..answers import rankings
from ..costs import COST, matrix
from .metrics import METRICS, NOTHING, RECALL, TOP_ACCURACY, Asked, ClassificationMeter
from .testing import tested


@dataclass(frozen=True)
class Classification:
    """One class an image; the model says a logit for each class. See `autotricks.core.task.Task`.

    Args:
        asked: What an objective asks for beside the figures of every epoch.
    """

    asked: Asked = NOTHING

    name: ClassVar[str] = "classification"
    brings: ClassVar[frozenset[DataTrait]] = frozenset({DataTrait.ONE_LABEL})
    defaults: ClassVar[tuple[str, ...]] = ("sgd", "constant", "instance", "cross_entropy")
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    objective: ClassVar[str] = "balanced_accuracy"
    train_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy")
    makes: ClassVar[str] = "An image classifier"
    gives: ClassVar[str] = "a class name and the probability of every class"
    strangers: ClassVar[str] = "the model always names one of its classes"
    counted: ClassVar[str] = "images"
    fits: ClassVar[tuple[str, ...]] = ()
    decoded: ClassVar[Decoded] = PROBABILITIES

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a classifier with fresh weights; see `autotricks.models.build`."""
        channels, height, width = image_shape
        return build(name, classes, channels, trust, (height, width))

    def judged_by(self, asked: Mapping[str, str], costs: Any, classes: Sequence[str]) -> Classification:
        """Return the task with a meter of what an objective asks for too; see `autotricks.core.task.Task`."""
        problems = [f"{key}: {problem}" for key, name in asked.items() if (problem := _impossible(name, classes))]
        try:
            table = () if costs is None else matrix(costs, classes)
        except DataError as error:
            problems += error.problems
        if problems:
            raise DataError(problems)
        names = (*asked.values(), *([COST] if table else []))
        return Classification(Asked(names, tuple(classes), table))

    def meter(self, counts: Tensor, targets: Targets, whole: bool = False) -> ClassificationMeter:
        """Return an empty meter; see `autotricks.core.task.Task`."""
        return ClassificationMeter(counts, targets, self.asked, whole)

    def blind_loss(self, classes: int) -> float:
        """Return log C, of two classes at least: the cross-entropy of guessing."""
        return math.log(max(2, classes))

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return figures, recall by class, confusion and calibration on test; see `testing.tested`."""
        return tested(validation, test, self.meter(counts, test.targets, whole=True))

    def decode(self, output: Output) -> Tensor:
        """Return the probability of each class, [B, C]."""
        return output.softmax(1)

    def blank(self, classes: int) -> Tensor:
        """Return probabilities of 0, [1, C]."""
        return torch.zeros(1, classes)

    def placed(self, decoded: Tensor, moves: Sequence[Move]) -> Tensor:
        """Return the same: a class of an image has no place in it."""
        return decoded

    def encode(self, answer: Tensor) -> Output:
        """Return the logarithms of probabilities, [B, C], which are logits of them; of 0 that of the least number."""
        return answer.clamp(min=torch.finfo(answer.dtype).tiny).log()

    def merged(self, outputs: Sequence[Output], backs: Sequence[Back]) -> Output:
        """Return the mean of what is said of each view, wherever it lies in the image."""
        return torch.stack([*outputs]).mean(0) if len(outputs) > 1 else outputs[0]

    def apart(self, decoded: Tensor, other: Tensor) -> float:
        """Return the largest difference of a probability."""
        return float((decoded - other).abs().max())

    def fit(self, validation: Measured, classes: int) -> Fitted:
        """Return nothing: the most probable class is the answer."""
        return UNFITTED

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1,
                fitted: Fitted = UNFITTED) -> list[Answer]:
        """Return `class`, `probability`, `class_2`, `probability_2` and so on of each image, the most probable first.

        Of classes that are as probable, the first is the first of the data.

        Shapes:
            decoded: [B, C], probabilities.
        """
        return rankings(decoded, classes, topk)


def _impossible(name: str, classes: Sequence[str]) -> str:
    """Return why these classes cannot have a metric; empty where they can."""
    top = TOP_ACCURACY.word(name)
    one = RECALL.word(name)
    if top and int(top) >= len(classes):
        return f"{name} is 1 for every model of {len(classes)} classes. Take fewer than {len(classes)}."
    if one and one not in classes:
        return f"no class is called {one!r}.{suggest(one, classes)} There is {listed(classes)}."
    return ""


CLASSIFICATION = Classification()

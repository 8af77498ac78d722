"""Task: what is to be learned from images, such as one class of each."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from ..stats.test_results import TestResult
from .slots import Output
from .targets import Targets
from .traits import DataTrait


class Meter(Protocol):
    """Gathers what a model says of a split, and says what it is worth.

    Attributes:
        names: Of the metrics that the split has.
    """

    names: tuple[str, ...]

    def update(self, output: Output, targets: Targets) -> None:
        """Take in what the model says of some images, and what is true of them."""

    def compute(self) -> Mapping[str, Tensor]:
        """Return each metric by name, in the order of `names`, as a tensor of one value on the device."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model says of a split, and what is true of it."""

    output: Output
    targets: Targets


class Task(Protocol):
    """What data, models, metrics and losses of one kind have in common.

    Attributes:
        name: As a space has it.
        brings: What tricks may rely on, or must refuse, in data of this task.
        defaults: Names of the tricks that take the required seats which a bundle leaves empty.
        metrics: Names of all metrics that a meter can have.
        train_metrics: Those of them that tell, on training images, whether they were learned by heart.
    """

    name: ClassVar[str]
    brings: ClassVar[frozenset[DataTrait]]
    defaults: ClassVar[tuple[str, ...]]
    metrics: ClassVar[tuple[str, ...]]
    train_metrics: ClassVar[tuple[str, ...]]

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Build a model with fresh weights.

        Args:
            name: As a bundle has it.
            classes: Number of classes.
            image_shape: (D, H, W).
            trust: Whether a model of the form `my.module:function` may be imported.

        Raises:
            ModelError: When there is no such model, or it cannot take these images.
        """

    def meter(self, counts: Tensor, targets: Targets) -> Meter:
        """Return an empty meter.

        Args:
            counts: Training images of each class, [C].
            targets: Of the split that will be measured.
        """

    def blind_loss(self, classes: int) -> float:
        """Return the loss of guessing: training that is far above it has exploded."""

    def test(self, validation: Measured, test: Measured, counts: Tensor) -> TestResult:
        """Return what a trained model does on test; what has to be fitted is fitted on validation.

        Args:
            validation: What it says of the validation split.
            test: What it says of test.
            counts: Training images of each class, [C].
        """

    def decode(self, output: Output) -> Tensor:
        """Return what a person is told, from what the model says."""

    def encode(self, answer: Tensor) -> Output:
        """Return an output that decodes to this answer: the inverse of `decode`, where the task has one."""

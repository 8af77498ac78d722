"""Task: what is to be learned from images, such as one class of each; Metric: what its meter measures."""
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, Self

from numpy.typing import NDArray
from torch import Tensor, nn

from ..stats.test_results import TestResult
from .slots import Output
from .targets import Targets
from .traits import DataTrait

Fitted = Mapping[str, Sequence[float]]      # by name, such as a threshold of each class
UNFITTED: Fitted = MappingProxyType({})
Back = tuple[tuple[float, float], tuple[float, float]]  # a and b of x: where a * x + b was in the image; those of y
Object = dict[str, str | float]     # found in an image: class, probability, left, top, right and bottom in pixels
# what a person is told of an image, by column, in the order of the columns
Answer = dict[str, str | float | list[Object] | None]
Move = Callable[[NDArray[Any]], NDArray[Any]]      # boxes [K, 4] of one image to those of another


@dataclass(frozen=True)
class Decoded:
    """What `decode` returns, for whoever runs a graph without this package.

    Args:
        name: In a word.
        columns: Of a row; empty where there is one for each class.
        about: What must be known to read it.
    """

    name: str
    columns: tuple[str, ...] = ()
    about: str = ""


PROBABILITIES = Decoded("probabilities")


@dataclass(frozen=True)
class Metric:
    """A figure that says what a model is worth, or a family of such figures, which have a word within their names.

    Args:
        name: As spaces and files have it, without the split. A family's is what a person is told: `recall[CLASS]`.
        words: As sentences have it; a family's has {} for the word.
        maximize: Whether more of it is better.
        percent: Whether people read it as percent.
        about: What a table says of it beside its name.
        asked: Whether training measures it only where an objective asks for it: it takes long, or wants a word.
        pattern: Regular expression of a family's names; its one group is the word. Empty for a single figure.
    """

    name: str
    words: str
    maximize: bool = True
    percent: bool = False
    about: str = ""
    asked: bool = False
    pattern: str = ""

    @property
    def sign(self) -> int:
        """1 if more of it is better, else -1."""
        return 1 if self.maximize else -1

    @property
    def mode(self) -> str:
        """What a space says of it: `max` or `min`."""
        return "max" if self.maximize else "min"

    @property
    def expression(self) -> str:
        """Return the regular expression of all its names."""
        return self.pattern or re.escape(self.name)

    def on(self, split: str) -> Self:
        """Return it with the name that it has on a split, such as `val`."""
        return replace(self, name=f"{split}/{self.name}", pattern=self.pattern and f"{split}/{self.pattern}")

    def word(self, name: str) -> str:
        """Return the word within a name of the family; empty for a single figure."""
        found = re.fullmatch(self.expression, name)
        return found[1] if found and self.pattern else ""

    def named(self, name: str) -> Self | None:
        """Return the figure of a name, None where it is another's."""
        if not re.fullmatch(self.expression, name):
            return None
        return replace(self, name=name, words=self.words.format(self.word(name)), pattern="") if self.pattern else self


def named(name: str, metrics: Sequence[Metric]) -> Metric | None:
    """Return the metric of a name among some; None where there is none."""
    return next((found for one in metrics if (found := one.named(name))), None)


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
        defaults: Names of the tricks that take their seats where a bundle leaves them empty.
        metrics: All that a meter can measure, in the order in which people are shown them.
        objective: Name of the metric that a search is for unless told.
        makes: What is trained, as a sentence of a model card begins.
        gives: What is told of an image, in the words of a model card.
        strangers: What becomes of images of none of the classes, likewise.
        counted: What classes have many or few of: `images` or `objects`.
        fits: Names of what `fit` returns.
        decoded: What `decode` returns.
        train_metrics: Names of those that tell, on training images, whether they were learned by heart.
    """

    name: ClassVar[str]
    brings: ClassVar[frozenset[DataTrait]]
    defaults: ClassVar[tuple[str, ...]]
    metrics: ClassVar[tuple[Metric, ...]]
    objective: ClassVar[str]
    train_metrics: ClassVar[tuple[str, ...]]
    makes: ClassVar[str]
    gives: ClassVar[str]
    strangers: ClassVar[str]
    counted: ClassVar[str]
    fits: ClassVar[tuple[str, ...]]
    decoded: ClassVar[Decoded]

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

    def judged_by(self, asked: Mapping[str, str], costs: Any, classes: Sequence[str]) -> Task:
        """Return the task with a meter that also measures, in every epoch, what an objective asks for.

        Args:
            asked: Names of metrics, without the split, by the key of the space that asks for each.
            costs: What each mistake costs, as a space has it; None where it says nothing.
            classes: Names of the classes.

        Raises:
            DataError: With one line, which begins with the key, for each that these classes cannot have.
        """

    def meter(self, counts: Tensor, targets: Targets, whole: bool = False) -> Meter:
        """Return an empty meter.

        Args:
            counts: Training images of each class, [C].
            targets: Of the split that will be measured.
            whole: Measure all that the split has, however long it takes, as confirmation does on test.
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
        """Return the figures that a person is told, from what the model says."""

    def blank(self, classes: int) -> Tensor:
        """Return what `decode` says of one image, made up, by which the form of answers is known."""

    def placed(self, decoded: Tensor, moves: Sequence[Move]) -> Tensor:
        """Return what `decode` returned with its places moved; as it is, by a task whose answers have none.

        Args:
            decoded: What `decode` returned for some images, by image.
            moves: Of each image: from boxes in what the model took to boxes in what that was made from.
        """

    def encode(self, answer: Tensor) -> Output:
        """Return an output that decodes to this answer: the inverse of `decode`, where the task has one."""

    def merged(self, outputs: Sequence[Output], backs: Sequence[Back]) -> Output:
        """Return one output for what the model says of several views of the same images.

        Args:
            outputs: Of each view.
            backs: From the pixels of each view to those of the images.
        """

    def apart(self, decoded: Tensor, other: Tensor) -> float:
        """Return how far what two machines decoded of the same images lies apart: 0 where they say the same.

        Probabilities count as they are.
        """

    def fit(self, validation: Measured, classes: int) -> Fitted:
        """Return what is fitted on validation once a model is trained, and goes with it; nothing for most tasks.

        Args:
            validation: What the model says of the validation split.
            classes: Number of classes.
        """

    def answers(self, decoded: Tensor, classes: Sequence[str], topk: int = 1,
                fitted: Fitted = UNFITTED) -> list[Answer]:
        """Put into words what `decode` returned: of each image a row, and all rows have the same columns.

        Args:
            decoded: What `decode` returned for some images, by image.
            classes: Names of the classes.
            topk: How many classes are told, the most probable first, by a task that ranks them; all if it has fewer.
            fitted: What `fit` returned for the model.
        """

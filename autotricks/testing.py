"""The contract that every trick is held to: ours, and those of other packages.

from autotricks.testing import check_trick

def test_my_trick_keeps_the_contract():
check_trick(ConfidencePenalty)
"""
from __future__ import annotations

import inspect
import json
import re
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .core.bundle import Bundle, Use, Window
from .core.dataset import Dataset, Split
from .core.domain import Value
from .core.plan import problems
from .core.reporting import End, Metrics
from .core.slots import PHASED
from .core.targets import Targets
from .core.task import Task
from .core.trick import Trick
from .tasks.classification import CLASSIFICATION
from .tasks.detection import DETECTION
from .tasks.multilabel import MULTILABEL
from .trainer import Trainer, checkpoint
from .trial import prepare
from .tricks.catalog import catalog

IMAGES = (16, 8, 5, 3)      # of each class
RATES = (0.6, 0.4, 0.2, 0.1)    # of images that have each label
EPOCHS = 2
BATCH = 16
MIDWAY = Window(0.25, 0.75)     # opens and closes within an epoch, with a checkpoint in it
WAITS = frozenset({"item", "tolist", "numpy", "cpu", "nonzero", "argwhere", "unique", "masked_select", "is_nonzero",
                   "equal", "allclose", "__bool__", "__float__", "__int__", "__index__"})
ON_CPU = Tensor.is_cpu.__get__      # type: ignore[attr-defined]
Weights = dict[str, Tensor]


def check_trick(cls: type[Trick], dataset: Dataset | None = None, model: str = Bundle.model,
                beside: Sequence[Use] = (), device: str = "cpu") -> None:
    """Hold a trick to every point of the contract.

    Args:
        cls: The trick's class; its defaults are what is tried.
        dataset: To train on; a few striped images of 8 x 8 pixels in four classes, unless told.
        model: To train, by name; one that finds objects, such as `fcos:resnet8`, where the data set has boxes.
        beside: Other tricks that train with it, each where it leaves them room.
        device: Where to train; on a GPU equal bits are asked for as on a CPU, see `torch.use_deterministic_algorithms`.

    Raises:
        AssertionError: With each point that it does not keep, and why.
    """
    contract = Contract(cls, dataset, model=model, beside=beside, device=device)
    broken = [f"{cls.__name__}, {point}: {error}" for point, error in failures(contract, POINTS)]
    if broken:
        raise AssertionError("\n".join(broken))


def failures(contract: Contract, names: Iterable[str]) -> Iterator[tuple[str, Exception]]:
    """Yield each of the named points that a trick does not keep, in words, and what was raised."""
    for name in names:
        try:
            getattr(contract, name)()
        except Exception as error:
            yield name.replace("_", " "), error


class Contract:
    """What a trick promises, point by point; each raises an AssertionError that says what is not so.

    Args:
        cls: The trick's class.
        dataset: To train on.
        whole: Whether it is active from start to end; else, where it may have a window, in one that opens and closes.
        model: To train, by name.
        beside: Other tricks that train with it, each where it leaves them room.
        device: Where to train.
    """

    def __init__(self, cls: type[Trick], dataset: Dataset | None = None, whole: bool = False,
                 model: str = Bundle.model, beside: Sequence[Use] = (), device: str = "cpu"):
        self.cls = cls
        self._dataset = dataset or striped()
        self._model = model
        self._device = torch.device(device)
        own = (Use(cls()), *companions(cls))
        self._beside = tuple(use for use in beside if not problems((*own, use)))
        self.windowed = set(cls.seats) <= PHASED
        self._window = MIDWAY if self.windowed and not whole else Window()

    def is_frozen_hashable_and_equal_to_its_like(self) -> None:
        """A trick is a value: nothing of it can be set."""
        trick = self.cls()
        assert trick == self.cls() and hash(trick) == hash(self.cls()), "two of the same values are not equal"
        for name in [*trick.values(), "anything"]:
            try:
                setattr(trick, name, 1)
            except (FrozenInstanceError, TypeError):
                continue
            raise AssertionError(f"{name} can be set; let the class stay a frozen dataclass")

    def survives_the_way_through_a_file(self) -> None:
        """Its values can be written down, and make the same trick again."""
        trick = self.cls()
        values: dict[str, Value] = json.loads(json.dumps(trick.values()))
        assert self.cls(**values) == trick, f"{values} do not make the same trick"

    def has_defaults_that_are_legal_and_searched(self) -> None:
        """Its defaults are allowed, and each lies in its own search domain."""
        assert self.cls.problems(self.cls().values()) == [], self.cls.problems(self.cls().values())
        declared = self.cls.declared()
        outside = [name for name, value in self.cls.defaults().items() if value not in declared[name].search]
        assert not outside, f"the defaults of {', '.join(outside)} are not in what is searched"

    def says_what_whose_and_at_what_cost(self) -> None:
        """Its docstring begins with a sentence, cites its paper, and states what it costs."""
        text = inspect.getdoc(self.cls) or ""
        assert re.match(r"[A-Z][^\n]+\.(\n|$)", text), "the docstring's first line is no sentence"
        assert re.search(r"^Paper: .*(\n +.*)*https?://\S+", text, re.MULTILINE), "no line `Paper:` with an address"
        assert re.search(r"^Cost: \S", text, re.MULTILINE), "no line `Cost:`"

    def trains_finite_and_changes_the_weights(self) -> None:
        """Two epochs come to their end, with finite figures and weights that move."""
        end, seen = self._trained
        assert end is End.FINISHED, f"training ended as {end}"
        assert all(metrics.finite for _, metrics in seen), "a figure is not finite"
        assert all(bool(value.isfinite().all()) for value in seen[0][0].values()), "a weight is not finite"
        assert different(seen[0][0], seen[1][0]), "the second epoch changed no weight"

    def is_the_same_from_the_same_seed_and_from_a_checkpoint(self) -> None:
        """One epoch, and another from its checkpoint, are two epochs without a break, bit for bit.

        What the process drew before does not matter, nor, for a trick that may have a window, what others draw
        meanwhile: it draws from the run's own generator.
        """
        end, seen = self._trained
        assert end is End.FINISHED, f"training ended as {end}"
        torch.manual_seed(123)
        first = self._trainer()
        if self.windowed:
            torch.manual_seed(456)
        metrics = next(first.epochs())
        assert metrics == seen[0][1], f"another first epoch from the same seed: {metrics} and {seen[0][1]}"
        changed = different(weights(first), seen[0][0])
        assert not changed, f"other weights from the same seed: {changed[0]}"
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(first.state_dict(), Path(folder) / "state")
            state = checkpoint.load(Path(folder) / "state")
        torch.manual_seed(123)
        second = self._trainer()
        second.load_state_dict(state)
        rest = list(second.epochs())
        assert rest == [seen[1][1]], f"another second epoch from a checkpoint: {rest} and {seen[1][1]}"
        changed = different(weights(second), seen[1][0])
        assert not changed, f"other weights from a checkpoint: {changed[0]}"

    def never_waits_for_the_device(self) -> None:
        """No step of it reads a value, or a shape that depends on values, off the device.

        A GPU's own word is taken for it, in whole steps; elsewhere calls are counted for which a GPU's host would wait.
        """
        if self._device.type == "cuda":
            trainer = self._trainer(kind=_Watched)
            assert isinstance(trainer, _Watched)
            trainer.train_epoch()
            assert not trainer.waits, f"a step waits for the device in {', '.join(sorted(set(trainer.waits)))}"
        elif self.windowed:
            step = self._trainer(Window()).first_step()
            with Waiting() as waiting:
                step()
            assert not waiting.calls, f"a step calls {', '.join(waiting.calls)}, for which a GPU's host waits"

    @cached_property
    def _trained(self) -> tuple[End | None, list[tuple[Weights, Metrics]]]:
        """How two epochs without a break end: weights and metrics after each."""
        trainer = self._trainer()
        seen = [(weights(trainer), metrics) for metrics in trainer.epochs()]
        return trainer.end, seen

    def _trainer(self, window: Window | None = None, kind: type[Trainer] = Trainer) -> Trainer:
        uses = (Use(self.cls(), self._window if window is None else window), *companions(self.cls), *self._beside)
        return prepare(Bundle(uses, self._model, EPOCHS, BATCH), self._dataset, self._device, kind=kind)


class _Watched(Trainer):
    """A trainer whose steps a GPU watches.

    Attributes:
        waits: Lines of code, as `file:number`, in which a step had the host wait.
    """

    waits: tuple[str, ...] = ()

    def step(self, rows: Tensor) -> Tensor:
        """Train a step, watched."""
        with synchronizing() as sites:
            loss = super().step(rows)
        self.waits += tuple(sites)
        return loss


@contextmanager
def synchronizing() -> Iterator[list[str]]:
    """Yield what is, at the end, where the host waited for the GPU meanwhile: lines of code, as `file:number`."""
    sites: list[str] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield sites
        finally:
            torch.cuda.set_sync_debug_mode("default")
            sites += [f"{Path(one.filename).name}:{one.lineno}" for one in heard
                      if "called a synchronizing" in str(one.message)]


POINTS: tuple[str, ...] = tuple(name for name, value in vars(Contract).items()
                                if inspect.isfunction(value) and not name.startswith("_"))


class Waiting(TorchFunctionMode):
    """While active, collects the names of calls whose result or shape the host must read from the device.

    Whoever asks whether a tensor lies on the CPU, where nothing waits, is told that it does not.

    Attributes:
        calls: Their names.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note a call and carry it out."""
        name = getattr(function, "__name__", "")
        masked = name in ("__getitem__", "__setitem__") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool
            for index in (args[1] if isinstance(args[1], tuple) else (args[1],)))
        positions = name == "where" and len(args) == 1
        if name in WAITS or masked or positions:
            self.calls.append(name)
        if function == ON_CPU:
            return False
        return function(*args, **(kwargs or {}))


def striped(counts: Sequence[int] = IMAGES, size: int = 8, channels: int = 1, seed: int = 0) -> Dataset:
    """Return random images with a bright stripe where the class says: what a small network learns in a few epochs.

    Args:
        counts: Training images of each class.
        size: Side in pixels.
        channels: Of an image.
        seed: Of the pixels.
    """
    generator = torch.Generator().manual_seed(seed)

    def split(counts: Sequence[int]) -> Split:
        labels = [(label,) for label, count in enumerate(counts) for _ in range(count)]
        return _with_stripes(labels, len(counts), (channels, size, size), generator)
    even = (10,) * len(counts)
    return _dataset(split(counts), split(even), split(even), len(counts), CLASSIFICATION)


def striped_sets(rates: Sequence[float] = RATES, count: int = 64, size: int = 8, channels: int = 1,
                 seed: int = 0) -> Dataset:
    """Return random images with any number of bright stripes, one for each of their labels, for `multilabel`.

    Args:
        rates: Of each class, the chance that an image has it.
        count: Training images; validation and test have 40 each.
        size: Side in pixels.
        channels: Of an image.
        seed: Of labels and pixels.
    """
    generator = torch.Generator().manual_seed(seed)

    def split(count: int) -> Split:
        return _with_stripes(_sets(rates, count, generator), len(rates), (channels, size, size), generator)
    return _dataset(split(count), split(40), split(40), len(rates), MULTILABEL)


def striped_scenes(rates: Sequence[float] = RATES, count: int = 64, size: int = 32, channels: int = 1,
                   seed: int = 0) -> Dataset:
    """Return random images in which small striped ones lie anywhere, at most one of each class, for `detection`.

    Args:
        rates: Of each class, the chance that an image has an object of it.
        count: Training images; validation and test have 40 each.
        size: Side in pixels, at least 16; of objects it is a quarter to a half.
        channels: Of an image.
        seed: Of labels, boxes and pixels.
    """
    generator = torch.Generator().manual_seed(seed)

    def boxes(labels: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """Return a box for each label."""
        sides = [torch.randint(size // 4, size // 2 + 1, (len(row), 2), generator=generator) for row in labels]
        corners = [(torch.rand(len(side), 2, generator=generator) * (size - side)).long() for side in sides]
        return [torch.cat([corner, corner + side], 1) for corner, side in zip(corners, sides, strict=True)]

    def split(count: int) -> Split:
        labels = _sets(rates, count, generator)
        return _with_stripes(labels, len(rates), (channels, size, size), generator, boxes(labels))
    return _dataset(split(count), split(40), split(40), len(rates), DETECTION)


def _sets(rates: Sequence[float], count: int, generator: torch.Generator) -> list[tuple[int, ...]]:
    """Return the labels of some images, each class with its rate."""
    there = torch.rand(count, len(rates), generator=generator) < torch.tensor(rates)
    return [tuple(row.nonzero().flatten().tolist()) for row in there]


def _with_stripes(labels: Sequence[tuple[int, ...]], classes: int, shape: tuple[int, int, int],
                  generator: torch.Generator, boxes: Sequence[Tensor] | None = None) -> Split:
    """Return random images with a bright stripe for each label, in its box or else in the whole image."""
    images = torch.randint(0, 120, (len(labels), *shape), generator=generator)
    whole = torch.tensor([0, 0, shape[2], shape[1]])
    for index, row in enumerate(labels):
        for place, label in enumerate(row):
            left, top, right, bottom = (whole if boxes is None else boxes[index][place]).tolist()
            height = bottom - top
            stripe = slice(top + label * height // classes, top + (label + 1) * height // classes)
            images[index, :, stripe, left:right] += 90
    targets = Targets.sets(labels, None if boxes is None else [each.float() for each in boxes])
    return Split(images.clamp(max=255).to(torch.uint8), targets)


def _dataset(train: Split, validation: Split, test: Split, classes: int, task: Task) -> Dataset:
    assert isinstance(train.images, Tensor)
    pixels = train.images.float() / 255
    return Dataset(train, validation, test, tuple("abcdefghij"[:classes]), tuple(pixels.mean((0, 2, 3)).tolist()),
                   tuple(pixels.std((0, 2, 3)).tolist()), "made-on-the-spot", "stripes", task)


def companions(cls: type[Trick]) -> tuple[Use, ...]:
    """Return a trick of the catalog for each trait that a trick needs."""
    return tuple(next(Use(other()) for other in catalog().values() if trait in other.provides)
                 for trait in sorted(cls.requires, key=lambda trait: trait.name))


def weights(trainer: Trainer) -> Weights:
    """Return a copy of what a trainer's model has learned, buffers included."""
    return {key: value.clone() for key, value in trainer.evaluated.state_dict().items()}


def different(left: Weights, right: Weights) -> list[str]:
    """Return the names of the weights that are not equal, bit for bit."""
    assert left.keys() == right.keys(), "not the same weights"
    return [key for key in left if not torch.equal(left[key], right[key])]

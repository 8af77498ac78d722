"""Whether the tricks of a space suit its model and the shape of its images: found out by building, without training."""
from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..core.bundle import Bundle
from ..core.dataset import Dataset, Split
from ..core.domain import Choice, Domain, Int, Value
from ..core.plan import Phase
from ..core.slots import Slot
from ..core.task import Task
from ..core.weights import DEFAULT, Weights, key
from ..data import Settings, shape_of
from ..errors import HubError, InputError, ModelError
from ..models import load_weights
from ..space import Entry, Pick, Space, paths
from ..space.load import LoadedSpace
from ..space.space import Taken
from ..space.weights import described, unfetched, wanted
from ..tasks import find as find_task
from ..trainer import Trainer
from ..trainer.pipeline import fold
from ..trial import prepare

CLASSES = 10
EACH = 2      # of the stand-in, and its images of each class
MOST = 12                  # values of one parameter that are tried
DRAWS = 10                 # bundles drawn at random, for what does not suit together
TRIED = 512                # pixels of a side, above which `check` tries nothing


def require_suited(loaded: LoadedSpace, trust: bool = False) -> str | None:
    """Build every trick of a space, at each value of its choices, and some bundles on a stand-in of the data's shape.

    Returns:
        What could not be found out, and why; None where nothing is left open.

    Raises:
        ModelError: When the model cannot take the images; else with one line for each trick, or bundle to start with,
            that does not suit model and images.
    """
    try:
        loaded, listed = described(loaded)
    except HubError as error:       # without which nobody knows what the model is; a search will ask again
        return error.problems[0].rstrip(".")
    left = unfetched(loaded, listed)
    settings = loaded.document.data.settings()
    shape = shape_of(settings)
    if shape is None:
        left.append(f"whether the tricks suit model and images: how large the images of {settings.source} are is known "
                    "when they are loaded. Set data.size and data.channels to check it now")
        return "; ".join(left)
    if shape[1] * shape[2] > TRIED ** 2:
        left.append(f"whether the tricks suit model and images: {shape[1]}x{shape[2]} pixels are too many to try it on "
                    "in little time and memory")
        return "; ".join(left)
    require_model(loaded, shape, trust)
    data = stand_in(shape, settings)
    task: Any = Prototypes(data.task)
    data = with_stand_ins(loaded, replace(data, task=task), trust)
    problems = dict[str, None]()
    bundles: list[tuple[tuple[str, ...], Bundle]] = [(("tricks", entry.name), bundle) for entry in loaded.space.entries
               for bundle in alone(loaded.space, entry)]
    start_index = {item.name: index for index, item in enumerate(loaded.document.start)}
    bundles += [(("start", str(start_index[name])) if name in start_index else ("start",), bundle)
                for name, bundle in loaded.start.items()]
    bundles += [(("tricks",), loaded.space.draw(_dice(seed))) for seed in range(DRAWS)]
    blamed = set[str]()
    for path, bundle in bundles:
        for line in misfits(bundle, data, trust):
            if line not in blamed:
                problems[loaded.tree.problem(path, line)] = None
            blamed.add(line)
    if problems:
        raise ModelError(problems)
    return "; ".join(left) or None


def with_stand_ins(loaded: LoadedSpace, data: Dataset, trust: bool) -> Dataset:
    """Return data with weights of the right shapes in place of published ones, and those of files."""
    held: dict[str, Weights] = {}
    for value in wanted(loaded):
        if value != DEFAULT:
            held[value] = load_weights("", value)
            continue
        for model in loaded.space.models:
            built = data.task.build(model, len(data.classes), data.image_shape, trust)
            held[key(model, DEFAULT)] = Weights(model, built.state_dict())
    return replace(data, weights=held)


def require_model(loaded: LoadedSpace, shape: tuple[int, int, int], trust: bool = False) -> None:
    """Run the baseline's model once, on two blank images of a shape (D, H, W).

    Raises:
        ModelError: With one line, where the model cannot be built for such images or cannot take them.
    """
    bundle = loaded.space.baseline()
    settings = loaded.document.data.settings()
    bundle = replace(bundle, uses=tuple(use for use in bundle.uses if not any(     # which may not be here yet
        paths.kind(use.trick.name, parameter) for parameter in use.trick.declared())))
    depth, height, width = shape
    data = stand_in(shape, settings)
    try:
        data.task.build(bundle.model, len(data.classes), shape, trust)
    except InputError as error:
        raise _of_model(loaded, [line.removeprefix("model.name: ") for line in error.problems]) from None
    try:
        trainer = prepare(bundle, data, trust=trust)
        trainer.enter(trainer.plan.phases[0])
        with torch.inference_mode():
            trainer.evaluated.eval()(torch.zeros(2, *shape))
    except InputError:              # of the tricks, which are built one by one elsewhere
        return
    except Exception as error:      # whatever a library or the user's code raises
        raise _of_model(loaded, [
            f"{bundle.model} cannot take images of {height}x{width} pixels and {depth} channel{'s' * (depth > 1)}: "
            f"{str(error).partition(chr(10))[0].rstrip('.')}. Set data.size and data.channels to what it takes, or "
            "take another model."]) from None


def _of_model(loaded: LoadedSpace, lines: Sequence[str]) -> ModelError:
    return ModelError([loaded.tree.problem(("model", "name"), line) for line in lines])


def misfits(bundle: Bundle, data: Dataset, trust: bool) -> tuple[str, ...]:
    """Return why a bundle cannot be built for data of this shape; nothing where it can."""
    try:
        trainer = prepare(bundle, data, trust=trust, kind=Built)
        for phase in trainer.plan.phases:
            trainer.enter(phase)
        fold(trainer.plan.once, Slot.PREDICT, trainer.evaluated, trainer.run)
    except InputError as error:
        return error.problems
    return ()


class Prototypes:
    """A task that builds each model once and gives out copies, which takes a twentieth of the time.

    Args:
        task: What it is otherwise.
    """

    def __init__(self, task: Task):
        self._task = task
        self._built: dict[tuple[Any, ...], nn.Module] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def build(self, name: str, classes: int, image_shape: tuple[int, int, int], trust: bool = False) -> nn.Module:
        """Return a copy of the model."""
        key = name, classes, image_shape
        if key not in self._built:
            self._built[key] = self._task.build(name, classes, image_shape, trust)
        return copy.deepcopy(self._built[key])


class Built(Trainer):
    """A trainer that is built and never trains."""

    def frozen_features(self, phase: Phase) -> None:
        """Return nothing: no image is looked at here."""

    def probe_rates(self, optimizer: Optimizer, rates: list[float]) -> list[float]:
        """Return losses that fall with the rate: nothing is found out here by training."""
        return [1 - rate / rates[-1] for rate in rates]


def alone(space: Space, entry: Entry) -> Iterator[Bundle]:
    """Yield bundles of one trick beside what is always there and what it needs, one for each value of its choices."""
    domains = {name: domain for name, domain in entry.domains.items() if name not in ("start", "stop")}
    variants: list[dict[str, Value]] = [{}] + [{f"{entry.name}.{name}": value} for name, domain in domains.items()
                                               for value in _values(domain)[1:MOST]]
    for variant in variants:
        def pick(name: str, domain: Domain, variant: dict[str, Value] = variant) -> Value:
            if isinstance(domain, Taken):
                return entry.name in domain.by
            if domain == Choice(False, True) and "." not in name:
                return bool(name == entry.name)
            if isinstance(domain, Choice) and entry.name in domain.options:
                return str(entry.name)
            return variant.get(name, _values(domain)[0])
        bundle = space.draw(pick)
        if entry.name in bundle.names():
            yield bundle


def _dice(seed: int) -> Pick:
    """Return what picks a value of each domain at random."""
    rng = random.Random(seed)
    return lambda name, domain: rng.choice(_values(domain))


def stand_in(shape: tuple[int, int, int], settings: Settings) -> Dataset:
    """Return a data set of this shape: a few times the same random image for each class."""
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    images = torch.randint(0, 256, (1, *shape), dtype=torch.uint8,
                           generator=torch.Generator().manual_seed(0)).expand(len(labels), *shape)
    split = Split.plain(images, labels)
    half = (0.5,) * shape[0]
    return Dataset(split, replace(split), None, tuple(map(str, range(CLASSES))), half, half, "", settings.source,
                   find_task(settings.task))


def _values(domain: Domain) -> list[Value]:
    if isinstance(domain, Choice):
        return list(domain.options)
    if isinstance(domain, Int):
        return list(range(domain.low, min(domain.high, domain.low + MOST) + 1))
    return [domain.low]  # type: ignore[attr-defined]

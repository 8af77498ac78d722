"""The typed shape of a space file and of a bundle file, apart from their tricks."""
from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ..catalog import suggest
from ..data import Settings
from ..errors import DataError
from .tree import Path, Tree

METRICS = ("train/loss", "val/loss", "val/accuracy", "val/balanced_accuracy", "val/calibration_error",
           "val/many_shot", "val/medium_shot", "val/few_shot")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Section(BaseModel):
    """A part of a file: its keys are a closed list, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ImbalanceSection(Section):
    """The long tail made of a balanced training split."""

    factor: float


class DataSection(Section):
    """Which images; see `autotricks.data.Settings`."""

    source: str = "digits"
    size: int | None = None
    channels: int | None = None
    imbalance: ImbalanceSection | None = None
    validation: float = 0.25
    test: float = 0.25
    seed: int = 0
    max_bad: float = 0.01

    def settings(self) -> Settings:
        """Return what the data package loads.

        Raises:
            DataError: With one line for each value that is not allowed.
        """
        return Settings(self.source, self.size, self.channels, self.imbalance.factor if self.imbalance else None,
                        self.validation, self.test, self.seed, self.max_bad)


class ModelSection(Section):
    """Which model."""

    name: str = "resnet8"


class TrainingSection(Section):
    """How long and how large."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 27
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    seed: int | None = None


class ObjectiveSection(Section):
    """What is to be best, as measured on the validation split in the last epoch."""

    metric: str = "val/balanced_accuracy"
    mode: Literal["max", "min"] = "max"


class RungsSection(Section):
    """When trials are compared: budgets of `first` epochs or a little more, each `reduction` times the one before."""

    first: Annotated[int, Field(ge=1)] = 3
    reduction: Annotated[int, Field(ge=2)] = 3
    fidelity: Literal["compressed", "prefix"] = "compressed"


class SearchSection(Section):
    """How to search."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 24
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    seed: Annotated[int, Field(ge=0)] = 0
    engine: Literal["ray", "local"] = "ray"
    parallel: Annotated[int, Field(ge=1)] | None = None
    rungs: RungsSection = RungsSection()


class ResourcesSection(Section):
    """What one trial gets: cores, and GPUs, of which a trial may have a share."""

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0


class StartSection(Section):
    """A bundle to run first, less the tricks that do not suit the data."""

    name: str
    without: list[str] = []


class SpaceDocument(Section):
    """A space file."""

    name: str
    about: str = ""
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    objective: ObjectiveSection = ObjectiveSection()
    search: SearchSection = SearchSection()
    resources: ResourcesSection = ResourcesSection()
    advice: Literal["avoid", "ignore"] = "avoid"
    start: list[str | StartSection] = ["baseline"]
    tricks: dict[str, Any]


class BundleDocument(Section):
    """A bundle file: a published recipe or a champion. `cite` and `published` say where a recipe comes from."""

    name: str
    about: str = ""
    cite: str = ""
    published: dict[str, Any] = {}
    data: DataSection | None = None
    images: dict[str, Any] = {}
    classes: list[str] = []
    result: dict[str, Any] = {}
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    tricks: dict[str, Any] = {}


def read(shape: type[BaseModel], tree: Tree) -> tuple[Any, list[str]]:
    """Return the document of a tree, or None and one line for each thing wrong with it."""
    if not isinstance(tree.value, dict):
        what = "is empty" if tree.value is None else f"holds a {type(tree.value).__name__}"
        return None, [f"{tree.file}: {what}; expected keys such as name, data and tricks."]
    try:
        document = shape.model_validate(tree.value)
    except ValidationError as error:
        lines = dict.fromkeys(_line(tree, shape, details) for details in error.errors())
        return None, list(lines)
    return document, list(_meaning(document, tree))


def _meaning(document: Any, tree: Tree) -> Iterable[str]:
    """Yield what the types cannot say."""
    if not NAME.fullmatch(document.name):
        yield tree.problem(("name",), f"{document.name!r} is not allowed; use letters, digits, '_', '-' and '.', "
                                      "at most 64, not starting with a dot.")
    try:
        if document.data:
            document.data.settings()
    except DataError as error:
        for line in error.problems:
            key, _, text = line.removeprefix("data.").partition(": ")
            yield tree.problem(("data", key), text)
    if isinstance(document, SpaceDocument):
        metric = document.objective.metric
        if metric not in METRICS:
            yield tree.problem(("objective", "metric"),
                               f"no such metric: {metric}.{suggest(metric, METRICS)} Metrics: {', '.join(METRICS)}.")
        worse_is_more = metric.endswith(("loss", "error"))
        if metric in METRICS and (document.objective.mode == "max") == worse_is_more:
            yield tree.problem(("objective", "mode"), f"{metric} is better when it is "
                               f"{'smaller' if worse_is_more else 'larger'}; mode must be "
                               f"{'min' if worse_is_more else 'max'}.")
        if document.search.rungs.first > document.training.epochs:
            yield tree.problem(("search", "rungs", "first"), f"{document.search.rungs.first} epochs are more than "
                               f"training.epochs, {document.training.epochs}. Lower it.")


def _line(tree: Tree, shape: type[BaseModel], details: ErrorDetails) -> str:
    path: Path = tuple(details["loc"])
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = keys(shape, path[:-1])
        return tree.problem(path, f"no such key.{suggest(str(path[-1]), known)} "
                                  f"{'.'.join(map(str, path[:-1])) or 'A file'} has {', '.join(known)}.")
    if kind == "missing":
        return tree.problem(path[:-1], f"the key {path[-1]} is missing.")
    wanted = {"int_type": "a whole number", "float_type": "a number", "string_type": "text", "dict_type": "a mapping",
              "bool_type": "true or false", "list_type": "a list", "model_type": "a mapping",
              "int_from_float": "a whole number"}
    if kind in wanted:
        return tree.problem(path, f"{given!r} is not {wanted[kind]}.")
    if kind == "literal_error":
        return tree.problem(path, f"{given!r} is not allowed; {path[-1]} must be {context['expected']}."
                                  f"{suggest(str(given), re.findall(r'[a-z]+', str(context['expected'])))}")
    return tree.problem(path, f"{given!r} is not allowed; {details['msg'].replace('Input', str(path[-1]), 1)}.")


def keys(shape: Any, path: Path) -> list[str]:
    """Return the keys that the section at `path` may have."""
    for part in path:
        fields = getattr(shape, "model_fields", {})
        shape = fields[str(part)].annotation if str(part) in fields else None
        shape = next((kind for kind in getattr(shape, "__args__", ()) if kind is not type(None)), shape)
    return list(getattr(shape, "model_fields", ()))

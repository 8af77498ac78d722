"""The typed shape of a space file and of a bundle file, apart from their tricks."""
from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ..catalog import suggest
from ..data import Group, Settings
from ..errors import DataError
from .tree import Path, Tree

METRICS = ("train/loss", "val/loss", "val/accuracy", "val/balanced_accuracy", "val/calibration_error",
           "val/many_shot", "val/medium_shot", "val/few_shot")
NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")   # names folders
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Section(BaseModel):
    """A part of a file: its keys are a closed list, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ImbalanceSection(Section):
    """The long tail made of a balanced training split."""

    factor: float


class GroupSection(Section):
    """Which images stay together: a column of the table, or what a pattern with one group finds in their paths."""

    column: str | None = None
    pattern: str | None = None


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
    group: GroupSection | None = None

    def settings(self) -> Settings:
        """Return what the data package loads.

        Raises:
            DataError: With one line for each value that is not allowed.
        """
        return Settings(self.source, self.size, self.channels, self.imbalance.factor if self.imbalance else None,
                        self.validation, self.test, self.seed, self.max_bad,
                        Group(self.group.column, self.group.pattern) if self.group else None)


class ModelSection(Section):
    """Which model."""

    name: str = "resnet8"


class TrainingSection(Section):
    """How long and how large."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 27
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    seed: Seed | None = None


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
    sampler: Literal["evolution", "tpe", "random", "grid"] = "evolution"
    seed: Seed = 0
    engine: Literal["ray", "local"] = "ray"
    parallel: Annotated[int, Field(ge=1)] | None = None
    patience: Annotated[float, Field(gt=0)] = 7200
    rungs: RungsSection = RungsSection()


class ConfirmSection(Section):
    """What is trained again when the last trial has ended: the `top` bundles and the baseline, `seeds` times each."""

    top: Annotated[int, Field(ge=1, le=100)] = 3
    seeds: Annotated[int, Field(ge=1, le=1000)] = 5


class ResourcesSection(Section):
    """What one trial gets: cores, and GPUs, of which a trial may have a share."""

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0


class StartSection(Section):
    """A bundle to run first, less the tricks that do not suit the data."""

    name: str
    without: list[str] = []


def _named(items: Any) -> Any:
    """Return a list in which a plain name stands for the whole bundle of that name."""
    return [item if isinstance(item, dict) else {"name": item} for item in items] if isinstance(items, list) else items


class SpaceDocument(Section):
    """A space file."""

    name: str
    about: str = ""
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    objective: ObjectiveSection = ObjectiveSection()
    search: SearchSection = SearchSection()
    confirm: ConfirmSection = ConfirmSection()
    resources: ResourcesSection = ResourcesSection()
    advice: Literal["avoid", "ignore"] = "avoid"
    start: Annotated[list[StartSection], BeforeValidator(_named)] = [StartSection(name="baseline")]
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
    """Return the document of a tree, None where it is no mapping, and one line for each thing wrong with it.

    Sections with something wrong are left at their defaults, so that what is wrong elsewhere is found too.
    """
    if not isinstance(tree.value, dict):
        what = "is empty" if tree.value is None else f"is a {'list' if isinstance(tree.value, list) else 'word'}"
        return None, [tree.problem((), f"the file {what}; expected a mapping with keys such as name, data and tricks.")]
    try:
        document, lines, wrong = shape.model_validate(tree.value), {}, set()
    except ValidationError as error:
        lines = dict.fromkeys(_line(tree, shape, details) for details in error.errors())
        wrong = {str(details["loc"][0]) for details in error.errors()}
        right = {key: value for key, value in tree.value.items() if key not in wrong}
        document = shape.model_validate({"name": "unknown", "tricks": {}, **right})
    return document, [*lines, *_meaning(document, tree, wrong)]


def _meaning(document: Any, tree: Tree, wrong: set[str]) -> Iterable[str]:
    """Yield what the types cannot say of the sections that are not `wrong`."""
    if not NAME.fullmatch(document.name):
        yield tree.problem(("name",), f"{document.name!r} is not allowed; use letters, digits, '_', '-' and '.', "
                                      "at most 64, not starting with a dot, and no name that Windows reserves.")
    try:
        if document.data:
            document.data.settings()
    except DataError as error:
        for line in error.problems:
            key, _, text = line.removeprefix("data.").partition(": ")
            yield tree.problem(("data", *key.split(".")), text)
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
        if not wrong & {"search", "training"} and document.search.rungs.first > document.training.epochs:
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
        return tree.problem(path, f"{'is empty,' if given is None else f'{given!r} is'} not {wanted[kind]}.")
    if kind == "literal_error":
        return tree.problem(path, f"{given!r} is not allowed; {path[-1]} must be {context['expected']}."
                                  f"{suggest(str(given), re.findall(r'[a-z]+', str(context['expected'])))}")
    allowed = details["msg"].replace("Input should", f"{path[-1]} must", 1)
    return tree.problem(path, f"{given!r} is not allowed; {allowed}.")


def keys(shape: Any, path: Path) -> list[str]:
    """Return the keys that the section at `path` may have."""
    for part in (part for part in path if isinstance(part, str)):
        fields = getattr(shape, "model_fields", {})
        shape = fields[part].annotation if part in fields else None
        shape = next((kind for kind in getattr(shape, "__args__", ()) if kind is not type(None)), shape)
    return list(getattr(shape, "model_fields", ()))

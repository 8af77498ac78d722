"""The typed shape of a space file and of a bundle file, apart from their tricks."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ..core.spelling import nearest
from ..data import Group, Settings
from ..errors import DataError
from ..models import OWN
from .tree import Path, Tree, without

METRICS = ("train/loss", "val/loss", "val/accuracy", "val/balanced_accuracy", "val/calibration_error",
           "val/many_shot", "val/medium_shot", "val/few_shot")
NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")   # names folders
WINDOWS = "^([cC][oO][nN]|[pP][rR][nN]|[aA][uU][xX]|[nN][uU][lL]|[cC][oO][mM][0-9]|[lL][pP][tT][0-9])(\\.|$)"
MODELS = f"^({'|'.join(OWN)}|(timm|torchvision):.+|[A-Za-z_][\\w.]*:\\w+)$"
SOURCES = "^(digits|(image_folder|csv|npz|torchvision):.+|[A-Za-z_][\\w.]*:[A-Za-z_]\\w*)$"
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def _legal(**words: Any) -> Any:
    """Say in the JSON Schema what is checked elsewhere, in words of its own."""
    return Field(json_schema_extra=words)


class Section(BaseModel):
    """A part of a file: its keys are a closed list, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ImbalanceSection(Section):
    """The long tail made of a balanced training split."""

    factor: Annotated[float, _legal(minimum=1)]


class GroupSection(Section):
    """Which images stay together: a column of the table, or what a pattern with one group finds in their paths."""

    column: str | None = None
    pattern: str | None = None


class DataSection(Section):
    """Which images; see `autotricks.data.Settings`."""

    source: Annotated[str, _legal(pattern=SOURCES)] = "digits"
    size: Annotated[int | None, _legal(minimum=1)] = None
    channels: Annotated[int | None, _legal(enum=[1, 3, None])] = None
    imbalance: ImbalanceSection | None = None
    validation: Annotated[float, _legal(exclusiveMinimum=0, exclusiveMaximum=1)] = 0.25
    test: Annotated[float, _legal(exclusiveMinimum=0, exclusiveMaximum=1)] = 0.25
    seed: Annotated[int, _legal(minimum=0, maximum=2**32 - 1)] = 0
    max_bad: Annotated[float, _legal(minimum=0, maximum=1)] = 0.01
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

    name: Annotated[str, _legal(pattern=MODELS)] = "resnet8"


class TrainingSection(Section):
    """How long and how large."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 27
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    seed: Seed | None = None


class ObjectiveSection(Section):
    """What is to be best, as measured on the validation split in the last epoch."""

    model_config = ConfigDict(json_schema_extra={
        "if": {"properties": {"metric": {"pattern": "(loss|error)$"}}, "required": ["metric"]},
        "then": {"properties": {"mode": {"const": "min"}}, "required": ["mode"]},
        "else": {"properties": {"mode": {"const": "max"}}}})

    metric: Annotated[str, _legal(enum=METRICS)] = "val/balanced_accuracy"
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

    name: Annotated[str, _legal(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", **{"not": {"pattern": WINDOWS}})]
    about: str = ""
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    objective: ObjectiveSection = ObjectiveSection()
    search: SearchSection = SearchSection()
    confirm: ConfirmSection = ConfirmSection()
    resources: ResourcesSection = ResourcesSection()
    advice: Literal["avoid", "ignore"] = "avoid"
    start: Annotated[list[StartSection], BeforeValidator(_named, list[str | StartSection])] = [
        StartSection(name="baseline")]
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
    value, lines, wrong = tree.value, dict[str, None](), set[Path]()
    while True:
        try:
            document = shape.model_validate(value)
            return document, [*lines, *_meaning(document, _Wrong(tree, wrong))]
        except ValidationError as error:
            found = error.errors()
            lines.update((_line(tree, shape, details), None) for details in found if not _renamed(details, found))
            places = {tuple(details["loc"]) for details in found}
            wrong |= places if places - wrong else {place[:1] for place in places}
            value = {"name": "unknown", "tricks": {}, **without(value, wrong)}


def _renamed(details: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Return whether a key is missing only because it is misspelled, which is said already."""
    *section, key = details["loc"]
    return details["type"] == "missing" and any(
        other["type"] == "extra_forbidden" and [*other["loc"][:-1]] == section
        and nearest(str(other["loc"][-1]), [str(key)]) for other in found)


@dataclass(frozen=True)
class _Wrong:
    """The places of a tree that are wrong already, about which nothing more is to be said."""

    tree: Tree
    paths: set[Path]

    def hides(self, *path: str) -> bool:
        """Return whether the value at a path is not what the file means: wrong, or left out under a wrong key."""
        parts = [path[:length] for length in range(1, len(path) + 1)]
        return any(part in self.paths or (part not in self.tree.marks and any(
            len(other) == len(part) and other[:-1] == part[:-1] for other in self.paths)) for part in parts)


def _meaning(document: Any, wrong: _Wrong) -> Iterable[str]:
    """Yield what the types cannot say of the values that are not `wrong`."""
    tree = wrong.tree
    if not wrong.hides("name") and not NAME.fullmatch(document.name):
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
        yield from _searching(document, wrong)


def _searching(document: SpaceDocument, wrong: _Wrong) -> Iterable[str]:
    """Yield what is wrong with the objective, the rungs and the number of trials, each by itself in order."""
    tree, search, metric = wrong.tree, document.search, document.objective.metric
    if not wrong.hides("objective", "metric"):
        if metric not in METRICS:
            yield tree.problem(("objective", "metric"),
                               f"no such metric: {metric}.{tree.hint(metric, METRICS)} Metrics: {', '.join(METRICS)}.")
        worse_is_more, known = metric.endswith(("loss", "error")), metric in METRICS
        if known and (document.objective.mode == "max") == worse_is_more and not wrong.hides("objective", "mode"):
            yield tree.problem(("objective", "mode"), f"{metric} is better when it is "
                               f"{'smaller' if worse_is_more else 'larger'}; mode must be "
                               f"{'min' if worse_is_more else 'max'}.")
    rungs, parallel = ("search", "rungs", "first"), ("search", "parallel")
    if search.rungs.first > document.training.epochs and not wrong.hides(*rungs) | wrong.hides("training", "epochs"):
        yield tree.problem(rungs, f"{search.rungs.first} epochs are more than training.epochs, "
                                  f"{document.training.epochs}. Lower it.")
    cut = tree.marks.get(("search", "trials")) == (0, 0)    # by --trials, to try a file out: fewer run side by side
    if (search.parallel or 1) > search.trials and not cut | wrong.hides(*parallel) | wrong.hides("search", "trials"):
        yield tree.problem(parallel, f"{search.parallel} are more than search.trials, {search.trials}. Lower it.")


def _line(tree: Tree, shape: type[BaseModel], details: ErrorDetails) -> str:
    path: Path = tuple(details["loc"])
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = keys(shape, path[:-1])
        return tree.problem(path, f"no such key.{tree.hint(str(path[-1]), tree.likely(path[:-1], known))} "
                                  f"{'.'.join(map(str, path[:-1])) or 'A file'} has {', '.join(known)}.")
    if kind == "missing":
        return tree.problem(path[:-1], f"the key {path[-1]} is missing.")
    wanted = {"int_type": "a whole number", "float_type": "a number", "string_type": "text", "dict_type": "a mapping",
              "bool_type": "true or false", "list_type": "a list", "model_type": "a mapping",
              "int_from_float": "a whole number"}
    if kind in wanted:
        return tree.problem(path, f"{'is empty,' if given is None else f'{given!r} is'} not {wanted[kind]}.")
    if kind == "literal_error":
        words = re.findall("'(.+?)'", str(context["expected"]))
        return tree.problem(path, f"{given!r} is not allowed; {path[-1]} must be {context['expected']}."
                                  f"{tree.hint(str(given), words)}")
    allowed = details["msg"].replace("Input should", f"{path[-1]} must", 1)
    return tree.problem(path, f"{given!r} is not allowed; {allowed}.")


def keys(shape: Any, path: Path) -> list[str]:
    """Return the keys that the section at `path` may have."""
    for part in (part for part in path if isinstance(part, str)):
        fields = getattr(shape, "model_fields", {})
        shape = fields[part].annotation if part in fields else None
        shape = next((kind for kind in getattr(shape, "__args__", ()) if kind is not type(None)), shape)
    return list(getattr(shape, "model_fields", ()))

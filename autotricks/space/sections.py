"""The sections of a space file and of a bundle file: their keys, types and ranges."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from ..core.objective import TRAINING, Objective
from ..core.task import Metric
from ..data import Group, Settings, Splits, Table
from ..data.settings import AUTO, BOXES, Box
from ..data.sources import EMBEDDED, READERS
from ..models import OWN, Pin
from ..tasks import TASKS, metric as metric_of, objective
from ..tasks.costs import COST

VALIDATION = "val"
ALIASES = {"val/log_loss": "val/loss"}      # what others call a metric
COSTLY = f"{VALIDATION}/{COST}"
COST_SCHEMA = {"type": "number", "minimum": 0}
MAX = "max"
SEEDS = 5           # trainings of each bundle that confirmation takes unless told
LARGEST = 1_000_000     # of batch sizes, and of what the largest class is to the smallest
SIDE = 4096                         # of an image, in pixels: 50 million values
MODELS = f"^((fcos:)?({'|'.join(OWN)}|(timm|torchvision):.+)|[A-Za-z_][\\w.]*:\\w+)$"
SOURCES = (f"^({'|'.join(EMBEDDED)}|({'|'.join(word for word in READERS if word not in EMBEDDED)}):.+|"
           "[A-Za-z_][\\w.]*:[A-Za-z_]\\w*)$")


def legal(**words: Any) -> Any:
    """Say in the JSON Schema what is checked elsewhere, in words of its own."""
    return Field(json_schema_extra=words)


def _whole(value: Any) -> Any:
    """Return 9 for 9.0, which JSON Schema counts among the whole numbers, as a trick's parameters do."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)


def _text(value: Any) -> Any:
    """Return a number or truth as text: a column's name, or what stands in a cell."""
    return str(value) if isinstance(value, (bool, int, float)) else value


def _several(value: Any) -> Any:
    """Return one word as a list of one."""
    return [*map(_text, value)] if isinstance(value, list) else [_text(value)]


def _sides(value: Any, one: Callable[[Any], Any]) -> Any:
    """Return height and width of a list, and the side of what is none."""
    return tuple(map(one, value)) if isinstance(value, list) else one(value)


def _listed(value: Any) -> Any:
    return [*value] if isinstance(value, tuple) else value


SIDES: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": SIDE}
SIZES: dict[str, Any] = {"anyOf": [SIDES, {"type": "array", "items": SIDES, "minItems": 2, "maxItems": 2},
                                   {"type": "null"}]}
WORD: dict[str, Any] = {"type": ["string", "number", "boolean"]}
WORDS: dict[str, Any] = {"anyOf": [WORD, {"type": "array", "items": WORD, "minItems": 1}]}
Word = Annotated[str, BeforeValidator(_text), WithJsonSchema(WORD)]
Words = Annotated[list[str], BeforeValidator(_several), WithJsonSchema(WORDS)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1), WHOLE]


class Section(BaseModel):
    """A part of a file: its keys are a closed list, and no value is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ImbalanceSection(Section):
    """The long tail made of a balanced training split."""

    factor: Annotated[float, Field(le=LARGEST, json_schema_extra={"minimum": 1})]


class GroupSection(Section):
    """Which images stay together: a column of the table, or what a pattern with one group finds in their paths."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [
        {"required": [key], "properties": {key: {"type": "string"}}} for key in ("column", "pattern")]})

    column: str | None = None
    pattern: str | None = None


class BoxSection(Section):
    """Which columns of a table are the box of an object."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [*names]} for names in BOXES]})

    left: Word | None = None
    top: Word | None = None
    right: Word | None = None
    bottom: Word | None = None
    width: Word | None = None
    height: Word | None = None
    x: Word | None = None
    y: Word | None = None


class SplitsSection(Section):
    """Which folders, or which words of a table's column, are which split."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    train: Words | None = None
    validation: Words | None = None
    test: Words | None = None


class DataSection(Section):
    """Which images; see `autotricks.data.Settings`, and `autotricks.data.Table` for the keys of tables."""

    source: Annotated[str, legal(pattern=SOURCES)] = "digits"
    task: Annotated[str, legal(enum=[*TASKS])] = "classification"
    size: Annotated[int | None, Field(le=SIDE), WHOLE, WrapValidator(_sides), PlainSerializer(_listed),
                    WithJsonSchema(SIZES)] = None
    fit: Literal["crop", "pad", "squash"] = "crop"
    channels: Annotated[int | None, legal(enum=[1, 3, None]), WHOLE] = None
    normalize: Literal["weights", "data"] = "weights"
    imbalance: ImbalanceSection | None = None
    validation: Annotated[float, legal(exclusiveMinimum=0, exclusiveMaximum=1)] = 0.25
    test: Annotated[float, legal(exclusiveMinimum=0, exclusiveMaximum=1)] = 0.25
    seed: Seed = 0
    max_bad: Annotated[float, legal(minimum=0, maximum=1)] = 0.01
    duplicates: Literal["keep", "drop"] = "keep"
    group: GroupSection | None = None
    splits: SplitsSection | None = None
    classes: Literal["first", "leaf"] | None = None
    rare: Literal["keep_in_train", "drop"] = "keep_in_train"
    memory: Annotated[float | None, legal(minimum=0)] = None
    workers: Annotated[int | None, legal(minimum=0, maximum=256), WHOLE] = None
    prefetch: Annotated[int | None, legal(minimum=1, maximum=1024), WHOLE] = None
    path: Word | None = None
    label: Words | None = None
    separator: str | None = None
    split: Word | None = None
    fold: Word | None = None
    folder: Words | None = None
    suffix: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    header: Annotated[bool | str | None, legal(enum=[True, False, AUTO, None])] = None
    box: BoxSection | None = None
    ignored: Word | None = None

    def settings(self) -> Settings:
        """Return what the data package loads.

        Raises:
            DataError: With one line for each value that is not allowed.
        """
        told = dict(self)
        table = {one.name: told.pop(one.name) for one in fields(Table)} | {
            "box": Box(**dict(self.box)) if self.box else None}
        splits = Splits(*(tuple(words or ()) for _, words in self.splits)) if self.splits else None
        told |= {"imbalance": self.imbalance.factor if self.imbalance else None, "splits": splits,
                 "group": Group(self.group.column, self.group.pattern) if self.group else None}
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                 for name, value in table.items() if value is not None}
        return Settings(**told, table=Table(**given))


class Bound(Section):
    """The least and the greatest value that suit."""

    min: Annotated[float | None, Field(ge=0)] = None
    max: Annotated[float | None, Field(ge=0)] = None


class FitsSection(Section):
    """The data that a space is made for; `autotricks data check` compares.

    Args:
        imbalance: Largest class / smallest class of the training images.
        images: Training images.
        per_class: Training images of a class, in the mean.
        side: Shorter side of an image, in pixels; the median.
    """

    imbalance: Bound = Bound()
    images: Bound = Bound()
    per_class: Bound = Bound()
    side: Bound = Bound()


class ModelSection(Section):
    """Which model, and whether it begins with the weights that are published for it.

    `weights` says which of those, such as `IMAGENET1K_V2` of torchvision or `a1_in1k` of timm, and means `pretrained`.
    """

    name: Annotated[str, legal(pattern=MODELS)] = "resnet8"
    pretrained: bool = False
    weights: str | None = None

    @property
    def begins(self) -> bool:
        """Whether every training begins with published weights."""
        return self.pretrained or self.weights is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The models, each with the word for its weights."""
        return tuple(tagged(name, self.weights) for name in self._listed())

    def _listed(self) -> list[str]:
        return [self.name]


def tagged(name: str, weights: str | None) -> str:
    """Return a model's name with the word for its weights: `timm:resnet50.a1_in1k`."""
    if weights is None:
        return name
    model, question, arguments = name.partition("?")
    return f"{model}.{weights}{question}{arguments}"


class ModelChoice(Section):
    """Models of which each trial takes one; the baseline takes the first."""

    choice: Annotated[list[Annotated[str, legal(pattern=MODELS)]], Field(min_length=1)]


class SpaceModelSection(ModelSection):
    """Which model, or which of several."""

    name: Annotated[str, legal(pattern=MODELS)] | ModelChoice = "resnet8"  # type: ignore[assignment]

    def _listed(self) -> list[str]:
        return self.name.choice if isinstance(self.name, ModelChoice) else [self.name]


class WeightsSection(Section):
    """Published weights that a run began with: what must be found again. Written by the search."""

    source: str
    sha256: str
    revision: str = ""
    licence: str = ""

    @property
    def pin(self) -> Pin:
        """Which weights these are."""
        return Pin(self.source, self.sha256, self.revision, self.licence)


class TrainingSection(Section):
    """How long and how large."""

    epochs: Annotated[int, Field(ge=1, le=100_000), WHOLE] = 27
    batch_size: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] = 64
    seed: Seed | None = None


def _or_max(value: Any, inner: Callable[[Any], int]) -> Any:
    return value if value == MAX else inner(value)


class SpaceTrainingSection(TrainingSection):
    """How long, how large, how precise; `max`, the largest that fits, and `auto`, the fastest, are found by trying.

    `compile` says whether steps run a compiled model; `auto` tries it in long searches alone, where it may pay.
    """

    batch_size: Annotated[int, Field(ge=1, le=LARGEST), WHOLE, WrapValidator(_or_max),
                          PlainSerializer(lambda size: size),
                          WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST},
                                                    {"const": MAX}]})] = 64
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    layout: Literal["auto", "nchw", "nhwc"] = "auto"
    compile: Literal["auto", True, False] = False


def _known_as(value: Any) -> Any:
    return ALIASES.get(value, value) if isinstance(value, str) else value


def on_validation(task: str | None = None) -> tuple[Metric, ...]:
    """Return what a task, or any of them, measures on validation."""
    tasks = TASKS.values() if task is None else (TASKS[task],)
    return tuple({metric.name: metric.on(VALIDATION) for one in tasks for metric in one.metrics}.values())


def _names(metrics: Sequence[Metric]) -> dict[str, Any]:
    """Return the JSON Schema of the names of metrics."""
    plain = [metric.name for metric in metrics if not metric.pattern]
    return {"anyOf": [{"enum": [*plain, *ALIASES]},
                      *({"pattern": f"^{metric.pattern}$"} for metric in metrics if metric.pattern)]}


def _least() -> list[Any]:
    """Return the names of the metrics of which less is better."""
    least = [metric.name for metric in (*TRAINING, *on_validation()) if not metric.maximize]
    return [*least, *(name for name, meant in ALIASES.items() if meant in least)]


def _conditions() -> list[Any]:
    """Return what the JSON Schema says of keys together: the mode that a metric has, and the costs that one needs."""
    costly = {"type": "object", "properties": {"metric": {"const": COSTLY}}, "required": ["metric"]}
    needs_costs = {"anyOf": [costly, {"properties": {"keep": costly}, "required": ["keep"]}]}
    return [{"if": {"properties": {"metric": {"enum": _least()}}, "required": ["metric"]},
             "then": {"properties": {"mode": {"const": "min"}}}, "else": {"properties": {"mode": {"const": "max"}}}},
            {"if": needs_costs, "then": {"properties": {"costs": {"not": {"type": "null"}}}, "required": ["costs"]}}]


class KeepSection(Section):
    """A figure that may be worse than the baseline's by `within` at most."""

    metric: Annotated[str, BeforeValidator(_known_as), legal(**_names(on_validation()))]
    within: Annotated[float, Field(ge=0)] = 0.01


class ObjectiveSection(Section):
    """What is to be best, as measured on the validation split in the last epoch, and what must be kept meanwhile.

    `mode` follows the metric. `costs` says what `val/cost` counts: what it costs to take a class for another, as a
    matrix of true class by guess in the order of the classes, or for those named alone; any other mistake costs 1.
    """

    model_config = ConfigDict(json_schema_extra={"allOf": _conditions()})

    metric: Annotated[str, BeforeValidator(_known_as), legal(**_names((*TRAINING, *on_validation())))] = (
        "val/balanced_accuracy")
    mode: Annotated[Literal["max", "min"], WithJsonSchema({"enum": ["max", "min"]})] = "max"
    costs: Annotated[Any, WithJsonSchema({"anyOf": [
        {"type": "array", "items": {"type": "array", "items": COST_SCHEMA}},
        {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": COST_SCHEMA}},
        {"type": "null"}]})] = None
    keep: KeepSection | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_mode(cls, given: Any) -> Any:
        """Return the section with the mode that its metric has, where it names none."""
        name = given.get("metric", Objective.metric) if isinstance(given, dict) else None
        if not isinstance(name, str) or "mode" in given:
            return given
        return {**given, "mode": metric_of(_known_as(name)).mode}

    def objective(self) -> Objective:
        """Return what ranks trials."""
        return objective(self.model_dump())


class RungsSection(Section):
    """When trials are compared: budgets of `first` epochs or a little more, each `reduction` times the one before.

    `prefix`: a rung is the beginning of the training; `compressed`: the whole bundle squeezed into the rung's epochs.
    """

    first: Annotated[int, Field(ge=1), WHOLE] = 3
    reduction: Annotated[int, Field(ge=2), WHOLE] = 3
    fidelity: Literal["prefix", "compressed"] = "prefix"


class SearchSection(Section):
    """How to search."""

    trials: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] = 24
    trainings: Annotated[float, Field(gt=0)] | None = None
    sampler: Literal["bayesian", "tpe", "random", "grid"] = "bayesian"
    prior: str = "shipped"
    seed: Seed = 0
    engine: Literal["auto", "ray", "local"] = "auto"
    parallel: Annotated[int, Field(ge=1), WHOLE] | None = None
    patience: Annotated[float, Field(gt=0)] = 7200
    rungs: RungsSection = RungsSection()


class ConfirmSection(Section):
    """What is trained again when the last trial has ended: the `top` bundles and the baseline, so many times each.

    With `seeds`, 5 unless told, trainings differ in their seed. With `folds` they differ in the seed and in which part
    of train and validation validates. Where objects are found, `pictures` keeps a dozen test images for the report.
    """

    model_config = ConfigDict(json_schema_extra={"not": {
        "required": ["seeds", "folds"], "properties": {name: {"type": "number"} for name in ("seeds", "folds")}}})

    top: Annotated[int, Field(ge=1, le=100), WHOLE] = 3
    seeds: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    folds: Annotated[int, Field(ge=2, le=1000), WHOLE] | None = None
    pictures: bool = True

    @property
    def trainings(self) -> int:
        """Of each bundle."""
        return self.folds or self.seeds or SEEDS


class ResourcesSection(Section):
    """What one trial gets: cores, and GPUs, of which a trial may have a share."""

    cpus: Annotated[float, Field(gt=0)] = 1
    gpus: Annotated[float, Field(ge=0, json_schema_extra={"anyOf": [{"maximum": 1}, {"multipleOf": 1}]})] = 0


class StartSection(Section):
    """A bundle to run first, less the tricks that do not suit the data."""

    name: str
    without: list[str] = []

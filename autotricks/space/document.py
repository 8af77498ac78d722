"""The typed shape of a space file and of a bundle file, apart from their tricks, and what is wrong with one."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ..core.objective import TRAINING
from ..core.task import Metric, named
from ..errors import DataError
from ..io.did_you_mean import nearest
from ..io.yaml_tree import Path, Tree, without
from ..tasks import TASKS
from ..tasks.costs import problems as cost_problems
from .sections import (
    COSTLY,
    VALIDATION,
    ConfirmSection,
    DataSection,
    FitsSection,
    ModelSection,
    ObjectiveSection,
    ResourcesSection,
    SearchSection,
    Section,
    SpaceModelSection,
    SpaceTrainingSection,
    StartSection,
    TrainingSection,
    WeightsSection,
    legal,
    on_validation,
)

NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")   # names folders
WINDOWS = "^([cC][oO][nN]|[pP][rR][nN]|[aA][uU][xX]|[nN][uU][lL]|[cC][oO][mM][0-9]|[lL][pP][tT][0-9])(\\.|$)"
MANY_KEYS = 15     # of a section: a line does not hold more
MANY_METRICS = 10


def _named(items: Any) -> Any:
    """Return a list in which a plain name stands for the whole bundle of that name."""
    if not isinstance(items, list):
        return items
    return [item if isinstance(item, dict) else {"name": item} for item in items]


class SpaceDocument(Section):
    """A space file."""

    name: Annotated[str, legal(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", **{"not": {"pattern": WINDOWS}})]
    about: str = ""
    fits: FitsSection | None = None
    data: DataSection = DataSection()
    model: SpaceModelSection = SpaceModelSection()
    weights: dict[str, WeightsSection] = {}
    training: SpaceTrainingSection = SpaceTrainingSection()
    objective: ObjectiveSection = ObjectiveSection()
    search: SearchSection = SearchSection()
    confirm: ConfirmSection = ConfirmSection()
    resources: ResourcesSection = ResourcesSection()
    advice: Literal["avoid", "ignore"] = "avoid"
    start: Annotated[list[StartSection], BeforeValidator(_named, list[str | StartSection])] = [
        StartSection(name="baseline")]
    tricks: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _for_the_task(cls, given: Any) -> Any:
        """Return the document with the objective that its task has, where it names none."""
        data, section = (given.get(name, {}) for name in ("data", "objective")) if isinstance(given, dict) else ("", "")
        if not isinstance(data, dict) or not isinstance(section, dict) or "metric" in section:
            return given
        task = TASKS.get(str(data.get("task")))
        return {**given, "objective": {**section, "metric": f"val/{task.objective}"}} if task else given


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
    weights: WeightsSection | None = None
    training: TrainingSection = TrainingSection()
    tricks: dict[str, Any] = {}


def read(shape: type[BaseModel], tree: Tree) -> tuple[Any, list[str]]:
    """Return the document of a tree, None where it is no mapping, and one line for each thing wrong with it.

    Sections with something wrong are left at their defaults, so that what is wrong elsewhere is found too.
    """
    if not isinstance(tree.value, dict):
        kind = "list" if isinstance(tree.value, list) else "word"
        what = "is empty" if tree.value is None else f"is a {kind}"
        return None, [tree.problem((), f"the file {what}; expected a mapping with keys such as name, data and tricks.")]
    value = tree.value
    lines = dict[str, None]()
    wrong = set[Path]()
    while True:
        try:
            document = shape.model_validate(value)
            return document, [*lines, *_meaning(document, _Wrong(tree, wrong))]
        except ValidationError as error:
            errors = error.errors()
            lines.update((_line(tree, shape, details), None) for details in errors
                         if tuple(details["loc"]) not in wrong and not _renamed(shape, details, errors))
            paths = {tuple(details["loc"]) for details in errors}
            wrong |= paths if paths - wrong else {path[:1] for path in paths}
            value = {"name": "unknown", "tricks": {}, **without(value, wrong)}


def _renamed(shape: type[BaseModel], details: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Return whether a key is missing only because it is misspelled, which is said already."""
    *section, key = details["loc"]
    return details["type"] == "missing" and any(
        other["type"] == "extra_forbidden" and [*other["loc"][:-1]] == section
        and nearest(str(other["loc"][-1]), keys(shape, (*section,))) == key for other in errors)


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
    """Yield what is wrong with the objective, the rungs, and numbers that are each in order by themselves."""
    tree = wrong.tree
    search = document.search
    yield from _objective(document, wrong)
    rungs = ("search", "rungs", "first")
    parallel = ("search", "parallel")
    if search.rungs.first > document.training.epochs and not wrong.hides(*rungs) | wrong.hides("training", "epochs"):
        yield tree.problem(rungs, f"{search.rungs.first} epochs are more than training.epochs, "
                                  f"{document.training.epochs}. Lower it.")
    cut = tree.marks.get(("search", "trials")) == (0, 0)    # by --trials, to try a file out: fewer run side by side
    for name, bound in document.fits or ():
        if None not in (bound.min, bound.max) and bound.min > bound.max and not wrong.hides("fits", name):
            yield tree.problem(("fits", name), f"min {bound.min:g} is greater than max {bound.max:g}. Swap them.")
    gpus = document.resources.gpus
    if gpus > 1 and gpus % 1 and not wrong.hides("resources", "gpus"):
        yield tree.problem(("resources", "gpus"), f"{gpus:g} GPUs a trial cannot be had: a trial takes whole GPUs, or "
                                                  "a share of one. Give a whole number.")
    if document.confirm.seeds and document.confirm.folds and not wrong.hides("confirm", "folds"):
        yield tree.problem(("confirm", "folds"), "seeds are given too; each fold is trained with a seed of its own. "
                                                 "Leave one of them out.")
    if (search.parallel or 1) > search.trials and not cut | wrong.hides(*parallel) | wrong.hides("search", "trials"):
        yield tree.problem(parallel, f"{search.parallel} are more than search.trials, {search.trials}. Lower it.")


def _objective(document: SpaceDocument, wrong: _Wrong) -> Iterable[str]:
    """Yield what is wrong with the objective, as far as that can be known without the data."""
    tree = wrong.tree
    section = document.objective
    kept = on_validation(document.data.task if document.data.task in TASKS else None)     # which is said already
    objectives = (*TRAINING, *kept)
    asked: list[tuple[tuple[str, ...], str, Sequence[Metric]]] = [
        (("objective", "metric"), section.metric, objectives)]
    if section.keep:
        asked.append((("objective", "keep", "metric"), section.keep.metric, kept))
    for path, name, known in asked:
        if not named(name, known) and not wrong.hides(*path):
            names = [metric.name for metric in known]
            hint = tree.hint(name, names)
            yield tree.problem(path, f"no such metric: {name}.{hint or _all_of(names)}")
    yield from _costs(section, kept, wrong)
    metric = named(section.metric, objectives)
    if metric and section.mode != metric.mode and not (
            wrong.hides("objective", "metric") or wrong.hides("objective", "mode")):
        yield tree.problem(("objective", "mode"), f"{section.metric} is better when it is "
                           f"{'larger' if metric.maximize else 'smaller'}; mode must be {metric.mode}, or left out.")


def _all_of(names: Sequence[str]) -> str:
    """Return in a sentence which metrics there are: their split once, and no more than a line holds."""
    split = f"{VALIDATION}/"
    rest = [name for name in names if not name.startswith(split)]
    ours = [name.removeprefix(split) for name in names if name.startswith(split)]
    more = f" and {len(ours) - MANY_METRICS} more that docs/metrics.md has" if len(ours) > MANY_METRICS else ""
    said = [*rest, f"{split} followed by {', '.join(ours[:MANY_METRICS])}{more}"]
    return f" Metrics: {', '.join(said)}."


def _costs(section: ObjectiveSection, known: Sequence[Metric], wrong: _Wrong) -> Iterable[str]:
    """Yield what is wrong with the costs of mistakes, or that there are none where they are needed."""
    place = ("objective", "costs")
    asked = (section.metric, section.keep.metric if section.keep else "")
    if wrong.hides(*place):
        return
    if section.costs is None and COSTLY in asked:
        yield wrong.tree.problem(place, f"is missing, which {COSTLY} needs: what it costs to take a class for another, "
                                        "such as {melanoma: {nevus: 10}}.")
    if section.costs is not None and not named(COSTLY, known):
        yield wrong.tree.problem(place, f"this task does not measure {COSTLY}. Leave it out.")
    if section.costs is not None:
        yield from (wrong.tree.problem((*place, *below), text) for below, text in cost_problems(section.costs))


def _line(tree: Tree, shape: type[BaseModel], details: ErrorDetails) -> str:
    path: Path = tuple(details["loc"])
    kind = details["type"]
    given = details["input"]
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        known = keys(shape, path[:-1])
        hint = tree.hint(str(path[-1]), known, path[:-1])
        every = f" {'.'.join(map(str, path[:-1])) or 'A file'} has {', '.join(known)}."
        return tree.problem(path, f"no such key.{hint}{'' if hint and len(known) > MANY_KEYS else every}")
    if kind == "missing":
        return tree.problem(path[:-1], f"the key {path[-1]} is missing.")
    wanted = {"int_type": "a whole number", "float_type": "a number", "string_type": "text", "dict_type": "a mapping",
              "bool_type": "true or false", "list_type": "a list", "model_type": "a mapping",
              "int_from_float": "a whole number"}
    if kind in wanted:
        return tree.problem(path, f"{'is empty,' if given is None else f'{given!r} is'} not {wanted[kind]}.")
    if kind == "literal_error":
        allowed = str(context["expected"]).replace("True", "true").replace("False", "false")     # as YAML has them
        words = re.findall("'(.+?)'", allowed)
        return tree.problem(path, f"{given!r} is not allowed; {path[-1]} must be {allowed}."
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

"""Load spaces and bundles: files to checked objects, with every problem of a file at once."""
from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..core.bundle import Bundle
from ..core.plan import advice, problems, unsuited
from ..core.traits import DataTrait
from ..core.weights import DEFAULT
from ..data import check as check_source
from ..errors import DataError, SpaceError
from ..io.yaml_tree import Path, Tree, one_line, parse, scalar
from ..models.names import parse as parse_model
from ..stats.verdict import BASELINE
from ..tasks import TASKS, find as find_task
from . import compiled_steps, models, paths
from .document import BundleDocument, SpaceDocument, read
from .domains import entries
from .files import find_file, known_file, read_tree, shipped
from .precision_layout import in_bundle, quarrels, settled
from .sections import MAX, DataSection, ModelChoice, StartSection, WeightsSection
from .space import Space

_OVERRIDE = re.compile(r"([A-Za-z_][\w.-]*)=(.+)", re.DOTALL)
_IN_FILE = re.compile(r"^:(\d+:\d+)? *| that begins in line \d+(?=\.$)")     # which a word of a command line has not


@dataclass(frozen=True)
class LoadedSpace:
    """A space file, checked: what to search, and everything around it.

    Args:
        document: The sections of the file.
        space: The tricks and their domains.
        start: Bundles to run first, by name.
        tree: Where everything stood.
        images: Training images; 0 until the data are known.
    """

    document: SpaceDocument
    space: Space
    start: dict[str, Bundle]
    tree: Tree
    images: int = 0

    def moved(self, change: paths.Change) -> LoadedSpace:
        """Return it with every place that a trick names changed."""
        document = self.document.model_copy(update={"tricks": paths.changed(self.document.tricks, change)})
        listed = tuple(paths.moved_entry(entry, change) for entry in self.space.entries)
        start = {name: paths.moved_bundle(bundle, change) for name, bundle in self.start.items()}
        return replace(self, document=document, space=replace(self.space, entries=listed), start=start)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The space with every default filled in and every override applied, as plain data."""
        whole = self.document.model_dump(mode="json")
        return {**whole, "start": [item if item["without"] else item["name"] for item in whole["start"]],
                "tricks": {name: values or {} for name, values in whole["tricks"].items()}}

    @property
    def fits(self) -> bool:
        """Whether the batch size is still to be found: the largest that fits."""
        return str(self.document.training.batch_size) == MAX

    def with_batch_size(self, size: int) -> LoadedSpace:
        """Return the space with another batch size for every trial."""
        training = self.document.training.model_copy(update={"batch_size": size})
        return replace(self, document=self.document.model_copy(update={"training": training}),
                       space=replace(self.space, frame=replace(self.space.frame, batch_size=size)),
                       start={name: replace(bundle, batch_size=size) for name, bundle in self.start.items()})


    def with_models(self, names: Mapping[str, str], size: int | None,
                    pins: Mapping[str, WeightsSection]) -> LoadedSpace:
        """Return the space with its models' whole names, the size of images that suits them, and their weights.

        Args:
            names: What each model is called from now on, by what it is called now.
            size: Of an image, where the space names none.
            pins: Which weights each model begins with, by its new name.
        """
        document = self.document
        section = document.model
        whole = [names.get(name, name) for name in section.names]
        name = whole[0] if isinstance(section.name, str) else ModelChoice(choice=whole)
        section = section.model_copy(update={"name": name, "weights": None, "pretrained": section.begins})
        data = document.data.model_copy(update={"size": size if document.data.size is None else document.data.size})
        document = document.model_copy(update={"model": section, "data": data, "weights": dict(pins)})
        frame = replace(self.space.frame, model=names.get(self.space.frame.model, self.space.frame.model))
        return replace(self, document=document, space=replace(self.space, frame=frame, models=tuple(whole)),
                       start={name: replace(bundle, model=frame.model) for name, bundle in self.start.items()})

    def ordered(self, models: Sequence[str]) -> LoadedSpace:
        """Return the space with its models in another order; baseline and start bundles have the first."""
        section = self.document.model.model_copy(update={"name": ModelChoice(choice=list(models))})
        return replace(self, document=self.document.model_copy(update={"model": section}),
                       space=replace(self.space, models=tuple(models),
                                     frame=replace(self.space.frame, model=models[0])),
                       start={name: replace(bundle, model=models[0]) for name, bundle in self.start.items()})

    def with_runtime(self, precision: str, layout: str) -> LoadedSpace:
        """Return the space with every trial in this precision and layout."""
        training = self.document.training.model_copy(update={"precision": precision, "layout": layout})
        return replace(self, document=self.document.model_copy(update={"training": training}),
                       space=settled(self.space, precision, layout),
                       start={name: in_bundle(bundle, precision, layout) for name, bundle in self.start.items()})

    def with_compiled_steps(self, on: bool) -> LoadedSpace:
        """Return the space with steps compiled wherever they can be, or nowhere."""
        training = self.document.training.model_copy(update={"compile": on})
        space = compiled_steps.settled(self.space) if on else self.space
        return replace(self, document=self.document.model_copy(update={"training": training}), space=space,
                       start={name: space.completed(bundle) for name, bundle in self.start.items()})


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle file, checked."""

    document: BundleDocument
    bundle: Bundle


def load_space(name: str | os.PathLike[str], overrides: Sequence[str] = (), trust: bool = False) -> LoadedSpace:
    """Load a space file.

    Paths that tricks name are taken from the working directory.

    Args:
        name: Path of the file, or the name of one that ships.
        overrides: `key.key=value`, each replacing or adding one value.
        trust: Whether `my.module:function` may be named.

    Raises:
        SpaceError: With `file:line:column` for every problem.
    """
    tree, errors = read_tree(find_file(os.fspath(name)))
    errors += _override(tree, [overrides] if isinstance(overrides, str) else overrides)
    document, lines = read(SpaceDocument, tree)
    errors += lines
    if document is None:
        raise SpaceError(errors)
    document = document.model_copy(update={"tricks": paths.changed(document.tricks, paths.absolute)})
    listed, lines = entries(models.tricks_of(document.tricks, document.model, {"always": True}), tree)
    errors += lines
    if document.advice == "avoid":
        errors += [tree.problem(("tricks",), f"{line}. Both are always there: drop one, or set advice: ignore.")
                   for line in advice(entry.widest() for entry in listed if entry.always)]
    if tree.value.get("tricks") == {}:
        errors.append(tree.problem(("tricks",), "lists no tricks; a space needs at least one."))
    errors += models.problems(document.model, listed, tree, trust, _has_objects(document.data))
    errors += _refused(check_source, document.data.source, ("data", "source"), tree, trust)
    size = document.training.batch_size
    frame = Bundle((), document.model.names[0], document.training.epochs, 1 if size == MAX else size,
                   document.search.seed if document.training.seed is None else document.training.seed)
    known = document.data.task if document.data.task in TASKS else DataSection().task     # which is said already
    task = find_task(known)
    errors += [tree.problem(("tricks", entry.name), conflict.text) for entry in listed
               for conflict in unsuited(entry.trick, task.brings)]
    space = Space(tuple(listed), frame, task, document.advice == "avoid", document.model.names)
    if document.search.sampler == "grid":
        errors += [tree.problem(tuple(path.split(".")), text) for path, text in space.endless().items()]
    start = _start(document.start, space, tree, trust, errors)
    if document.search.trials < len(start):
        errors.append(tree.problem(("search", "trials"), f"{document.search.trials} are fewer than the {len(start)} "
                                   "bundles to start with, the baseline among them. Raise it, or shorten start."))
    training = document.training
    errors += [tree.problem(("training", key), text) for key, text in quarrels(
        space, training.precision, training.layout).items()]
    compiles = training.compile is True
    if compiles and (quarrel := compiled_steps.quarrel(space)):
        errors.append(tree.problem(("training", "compile"), quarrel))
    if errors:
        raise SpaceError(errors)
    loaded = LoadedSpace(document, space, start, tree).with_runtime(training.precision, training.layout)
    return loaded.with_compiled_steps(True) if compiles else loaded


def load_data_section(source: str, overrides: Sequence[str] = ()) -> DataSection:
    """Return the data section of a source without a file.

    Args:
        source: As the user wrote it.
        overrides: `data.key=value`.

    Raises:
        SpaceError: With a line for every problem of the overrides.
    """
    tree = Tree("--set", {"name": "data", "data": {}, "tricks": {}})
    elsewhere = [text for text in overrides if not text.startswith("data.")]
    errors = [one_line(f"--set {text}: only data.KEY=VALUE says something of a source.") for text in elsewhere]
    errors += _override(tree, [text for text in overrides if text not in elsewhere])
    tree.override(("data", "source"), source)
    document, lines = read(SpaceDocument, tree)
    if errors + lines:
        raise SpaceError(errors + lines)
    section: DataSection = document.data
    return section


def load_bundle_file(name: str | os.PathLike[str], trust: bool = False, kind: str = "published") -> LoadedBundle:
    """Load a bundle file: a champion, or a published recipe.

    Raises:
        SpaceError: With `file:line:column` for every problem.
    """
    tree, errors = read_tree(find_file(os.fspath(name), kind), bundle=True)
    document, lines = read(BundleDocument, tree)
    errors += lines
    if document is None:
        raise SpaceError(errors)
    document = document.model_copy(update={"tricks": paths.changed(document.tricks, paths.absolute)})
    listed, lines = entries(models.tricks_of(document.tricks, document.model, {}), tree, searched=False)
    errors += lines + models.problems(document.model, listed, tree, trust, _has_objects(document.data))
    if errors:
        raise SpaceError(errors)
    training = document.training
    return LoadedBundle(document, Bundle(tuple(entry.default() for entry in listed), document.model.names[0],
                                         training.epochs, training.batch_size, training.seed or 0))


def _has_objects(data: DataSection | None) -> bool | None:
    """Return whether objects are to be found; None where no data are named."""
    task = TASKS.get(data.task) if data else None
    return None if task is None else DataTrait.BOXES in task.brings


def _override(tree: Tree, overrides: Sequence[str]) -> list[str]:
    """Apply `key.key=value` to a tree; return what is wrong with them."""
    errors = []
    for text in overrides:
        match = _OVERRIDE.fullmatch(text)
        if not match:
            errors.append(one_line(f"--set {text}: expected key.key=value, such as training.epochs=81."))
            continue
        given = match[2].strip()
        try:
            value = parse(given, "").value if given[:1] in "[{\"'" else scalar(given)
            tree.override(tuple(match[1].split(".")), value)
        except SpaceError as error:
            errors += [f"--set  {match[1]}: {_IN_FILE.sub('', line)}" for line in error.problems]
    return errors


def _refused(check: Callable[[str, bool], None], name: str, path: Path, tree: Tree, trust: bool) -> list[str]:
    """Return why a data source of this name is refused."""
    try:
        check(name, trust)
    except DataError as error:
        return [tree.problem(path, line.removeprefix(f"{path[0]}.{path[1]}: ")) for line in error.problems]
    return []


def _start(listed: list[StartSection], space: Space, tree: Tree, trust: bool,
           errors: list[str]) -> dict[str, Bundle]:
    """Return the bundles to run first, the baseline before all others.

    A published one takes model, epochs, batch size and seed of the space, and its `always` tricks where it leaves
    their seats empty.
    """
    known = [BASELINE, *(path.stem for path in shipped("published"))]
    result: dict[str, Bundle] = {BASELINE: space.baseline()}
    for index, item in enumerate(listed):
        name = item.name
        without = item.without
        if name in [other.name for other in listed[:index]]:
            errors.append(tree.problem(("start", index), f"{name} stands twice. Drop one."))
        if name == BASELINE:
            errors += [tree.problem(("start", index, "without"), "the baseline has no trick that the space leaves a "
                                    "choice about. Drop it.")] if without else []
            continue
        if known_file(name, "published") is None:
            errors.append(tree.problem(("start", index), f"no such bundle.{tree.hint(name, known)}"))
            continue
        try:
            bundle = load_bundle_file(name, trust).bundle
        except SpaceError as error:
            errors += [tree.problem(("start", index), line) for line in error.problems]
            continue
        absent = [trick for trick in without if trick not in bundle.names()]
        errors += [tree.problem(("start", index, "without"), f"{name} does not use {trick}."
                                f"{tree.hint(trick, bundle.names())}") for trick in absent]
        kept = tuple(use for use in bundle.rescaled(space.frame.epochs).uses if use.trick.name not in without)
        errors += [tree.problem(("start", index), line) for line in problems(kept)]
        names = [use.trick.name for use in kept]
        added = tuple(use for use in space.constants() if use.trick.name not in names
                      and not problems([*kept, use]))
        result[name] = replace(space.frame, uses=kept + added)
        if result[name].weights == DEFAULT and not parse_model(space.frame.model).library:
            errors.append(tree.problem(("start", index), f"{name} begins with published weights, and nobody has "
                                       f"published any for {space.frame.model}. Take a model of timm or torchvision, "
                                       "or leave the bundle out."))
    return result

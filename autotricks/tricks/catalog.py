"""The catalog: finds every trick, ours and third parties', by name."""
from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .. import tricks as _tricks
from ..core.bundle import Bundle, Use, Window
from ..core.plan import Plan, plan
from ..core.task import Task
from ..core.traits import DataTrait
from ..core.trick import Trick
from ..errors import BundleError
from ..io.did_you_mean import suggest

ENTRY_POINTS = "autotricks.tricks"


@cache
def catalog() -> Mapping[str, type[Trick]]:
    """Return every trick class by name, sorted; third parties register a class under `autotricks.tricks`."""
    for module in pkgutil.walk_packages(_tricks.__path__, _tricks.__name__ + "."):
        importlib.import_module(module.name)
    tricks = {trick.name: trick for trick in _derived(Trick) if trick.__module__.startswith(_tricks.__name__)}
    for entry in entry_points(group=ENTRY_POINTS):
        trick = _loaded(entry)
        if trick.name in tricks:
            raise BundleError(f"{entry.value}: a trick called {trick.name} is already there. Rename the class.")
        tricks[trick.name] = trick
    return dict(sorted(tricks.items()))


def _loaded(entry: EntryPoint) -> type[Trick]:
    """Return the trick of another package; BundleError, with that package's name, where it cannot be imported."""
    try:
        trick: type[Trick] = entry.load()
    except Exception as error:      # whatever the package raises
        owner = entry.dist.name if entry.dist else "a package"
        raise BundleError(f"{owner}: its trick {entry.name} ({entry.value}) cannot be loaded: {error}. Mend that "
                          "package, or uninstall it.") from error
    return trick


def _derived(kind: type[Trick]) -> Iterator[type[Trick]]:
    """Yield what is derived from a class, through the classes in between that tricks share."""
    for derived in kind.__subclasses__():
        yield derived
        yield from _derived(derived)


def find(name: str) -> type[Trick]:
    """Return the trick called `name`.

    Raises:
        BundleError: With the nearest name.
    """
    try:
        return catalog()[name]
    except KeyError:
        raise BundleError(f"{name}: no such trick.{suggest(name, catalog())}") from None


def plan_of(bundle: Bundle, task: Task, data: Container[DataTrait] | None = None) -> Plan:
    """Check a bundle, fill its required seats with what its task has there by default, and cut it into phases.

    Args:
        bundle: What to train.
        task: What is to be learned.
        data: What the data bring; None: whether tricks suit them is not asked.
    """
    return plan(bundle, [find(name)() for name in task.defaults], data)


def make(name: str, values: Mapping[str, Any]) -> Use:
    """Return a use from a trick's name and its parameters, with `start` and `stop` of its window among them.

    Raises:
        BundleError: With one line for each unknown or illegal parameter.
    """
    trick = find(name)
    given = {key: value for key, value in values.items() if key not in ("start", "stop")}
    known = trick.declared()
    problems = [f"{name}.{key}: no such parameter.{suggest(key, known)} {name} has {', '.join(known) or 'none'}."
                for key in given if key not in known]
    problems += [f"{name}.{line}"
                 for line in trick.problems({key: value for key, value in given.items() if key in known})]
    if problems:
        raise BundleError(problems)
    typed = {key: type(trick.defaults()[key])(value) for key, value in given.items()}
    return Use(trick(**typed), Window(float(values.get("start", trick.opens)), float(values.get("stop", 1.0))))


def bundle_from(document: Mapping[str, Any]) -> Bundle:
    """Return the bundle of a document that `Bundle.document` made.

    Raises:
        BundleError: With one line for each problem.
    """
    uses = []
    problems = []
    for name, values in document.get("tricks", {}).items():
        try:
            uses.append(make(name, values or {}))
        except BundleError as error:
            problems += [f"tricks.{line}" for line in error.problems]
    if problems:
        raise BundleError(problems)
    bundle = Bundle(tuple(uses), **document.get("training", {}))
    return replace(bundle, model=document["model"]["name"]) if "model" in document else bundle

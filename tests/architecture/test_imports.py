"""Imports run downward only, lazy and TYPE_CHECKING ones included; each foreign library has its one place."""
import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from autotricks.tricks.catalog import catalog

from .source import modules, tree, where

LEVELS = [
    {"errors", "stats"},
    {"system", "io", "core"},
    {"models", "nn"},
    {"functional"},
    {"tasks"},
    {"export", "data", "tracking"},
    {"trainer"},
    {"tricks"},
    {"inference", "space"},
    {"runs", "trial"},
    {"testing"},
    {"report", "tuning"},
    {"tuning.engines"},
    {"probes"},
    {"workflows"},
    {"cli.views"},
    {"cli.commands"},
    {"cli"},
    {"", "__main__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
ROOT = {"", "__main__", "errors", "testing", "trial"}      # the modules that lie loose in the package
NAMED = {f"autotricks.{name}" for name in modules() if name}
HOMES = {"pyarrow": {"runs", "data"}, "ray": {"tuning.engines"}, "optuna": {"tuning"}, "mlflow": {"tracking"},
         "typer": {"cli", "cli.commands"}}
SHARED, CATALOG = ("core", "functional", "nn", "io", "errors"), "tricks.catalog"     # of tricks
PURE = {"core", "nn", "functional", "tricks", "trainer", "trial"}
NOT_PURE = {"ray", "optuna", "mlflow", "yaml", "typer", "click", "rich"}


def imports(name):
    """Return (place, module of ours or None, what is written in full) of each import in a module."""
    return written(name, tree(modules()[name]))


@cache
def written(name, parsed):
    return tuple(arrows(name, parsed))


def arrows(name, parsed):
    path = modules()[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ["autotricks", *filter(None, package)][:1 - node.level or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            targets = [target if target.removeprefix("autotricks.") in modules() else base for target in inner]
        elif isinstance(node, ast.Constant) and node.value in NAMED:
            targets = [node.value]      # a string that names a module of ours is an arrow too
        else:
            continue
        for target in targets:
            ours = target.split(".")[0] == "autotricks"
            yield where(path, node), (target.removeprefix("autotricks").lstrip(".") if ours else None), target


def room(name):
    """The folder that a module is in: the innermost one that has a level."""
    parts = name.split(".")
    return next((".".join(parts[:count]) for count in (2, 1) if ".".join(parts[:count]) in LEVEL), parts[0])


def test_every_module_has_a_level():
    assert {room(name) for name in modules()} - set(LEVEL) == set()


def test_the_packages_root_holds_few_modules():
    assert {name for name, path in modules().items() if "." not in name and path.name != "__init__.py"} <= ROOT


def test_imports_run_downward():
    found = []
    for name in modules():
        for place, ours, _ in imports(name):
            if ours is None or room(ours) == room(name):
                continue
            here, there = LEVEL[room(name)], LEVEL[room(ours)]
            if there >= here:
                found.append(f"{place}: {name} imports {ours}, which is {'beside' if there == here else 'above'} it")
    assert not found, "\n".join(found)


def test_there_is_no_cycle():
    graph = {name: {ours for _, ours, _ in imports(name) if ours is not None} - {name} for name in modules()}
    assert sum(map(len, graph.values())) > 150
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_foreign_libraries_stay_in_their_places():
    found = []
    for name in modules():
        for place, ours, target in imports(name):
            library = target.split(".")[0]
            if ours is None and (room(name) not in HOMES.get(library, {room(name)})
                                 or (room(name) in PURE and library in NOT_PURE)):
                found.append(f"{place}: {name} imports {library}")
    assert not found, "\n".join(found)


def test_a_trick_imports_no_other_trick():
    found = [f"{place}: {name} imports {ours}" for name in modules() if room(name) == "tricks" and name != CATALOG
             for place, ours, _ in imports(name) if ours is not None and room(ours) not in SHARED]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("home", ["core", "trainer"])
def test_no_trick_is_named(home):
    """Neither by class nor as a whole string; words such as `step` and `flip` are also ordinary ones."""
    classes, names = {trick.__name__ for trick in catalog().values()}, set(catalog())
    found = [f"{where(path, node)}: {ast.unparse(node)}" for name, path in modules().items() if room(name) == home
             for node in ast.walk(tree(path))
             if (isinstance(node, ast.Name) and node.id in classes)
             or (isinstance(node, ast.Attribute) and node.attr in classes)
             or (isinstance(node, ast.Constant) and node.value in names)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("name", "source", "test", "said"), [
    ("core.plan", "def late():\n    from ..trainer import Trainer", test_imports_run_downward, "above"),
    ("core.plan", "if TYPE_CHECKING:\n    from .. import trial", test_imports_run_downward, "core.plan imports trial"),
    ("data.load", "from ..trainer.step import step", test_imports_run_downward, "above"),
    ("io.files", "import autotricks.core.plan", test_imports_run_downward, "beside"),
    ("system.workers", "PRELOAD = 'autotricks.tuning.engines.preload'", test_imports_run_downward, "which is above it"),
    ("core.slots", "from .plan import plan", test_there_is_no_cycle, "core.slots"),
    ("workflows.search", "import ray.tune", test_foreign_libraries_stay_in_their_places, "search imports ray"),
    ("space.load", "from mlflow import MlflowClient", test_foreign_libraries_stay_in_their_places, "imports mlflow"),
    ("trial", "import yaml", test_foreign_libraries_stay_in_their_places, "trial imports yaml"),
    ("tricks.batch.mixup", "from .cutmix import cutmix", test_a_trick_imports_no_other_trick, "tricks.batch.cutmix"),
    ("tricks.batch.mixup", "from ...trainer import step", test_a_trick_imports_no_other_trick, "imports trainer.step"),
    ("core.plan", "used = 'mixup'", lambda: test_no_trick_is_named("core"), "mixup"),
    ("trainer.step", "isinstance(use, Sgd)", lambda: test_no_trick_is_named("trainer"), "Sgd")])
def test_an_offender_is_found_and_named(monkeypatch, name, source, test, said):
    offender, parsed = modules()[name], ast.parse(modules()[name].read_text() + "\n" + source)
    monkeypatch.setitem(globals(), "tree", lambda path, tree=tree: parsed if path == offender else tree(path))
    with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
        test()

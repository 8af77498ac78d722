"""Imports run downward only, lazy and TYPE_CHECKING ones included; each foreign library has its one place."""
import ast
from graphlib import CycleError, TopologicalSorter

import pytest

from autotricks.catalog import catalog

from .source import modules, tree, where

LEVELS = [
    {"errors", "processes", "interrupt"},
    {"core", "models"},
    {"tree"},
    {"tricks", "trainer", "data", "export", "tracking"},
    {"catalog", "trial", "ranks", "predictor", "serving"},
    {"space"},
    {"search"},
    {"ablate", "bottleneck", "champion", "comparison", "confirm", "experiment", "handover", "largest_batch",
     "precision", "reopen", "replicate", "report", "resources", "service", "suited", "suits", "storage", "sync",
     "teachers", "tested", "transfer", "versions"},
    {"attribution", "cards", "cli", "commands", "inspection", "judgment", "outline", "screen", "techniques"},
    {"", "__main__"},
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
APART = 4                      # on the levels below, neighbors do not know each other
HOMES = {"pyarrow": {"storage"}, "ray": {"search"}, "optuna": {"search"}, "mlflow": {"tracking"},
         "typer": {"cli", "commands"}}
PURE = {"core", "tricks", "trainer", "trial"}
NOT_PURE = {"ray", "optuna", "mlflow", "yaml", "typer", "click", "rich"}


def imports(name):
    """Yield (place, module of ours or None, what is written in full) of each import in a module."""
    path = modules()[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ["autotricks", *filter(None, package)][:1 - node.level or None] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            targets = [target if target.removeprefix("autotricks.") in modules() else base for target in inner]
        else:
            continue
        for target in targets:
            ours = target.split(".")[0] == "autotricks"
            yield where(path, node), (target.removeprefix("autotricks").lstrip(".") if ours else None), target


def room(name):
    return name.split(".")[0]


def test_every_module_has_a_level():
    assert {room(name) for name in modules()} - set(LEVEL) == set()


def test_imports_run_downward():
    found = []
    for name in modules():
        for place, ours, _ in imports(name):
            if ours is None or room(ours) == room(name):
                continue
            here, there = LEVEL[room(name)], LEVEL[room(ours)]
            if there > here or (there == here < APART):
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
    found = [f"{place}: {name} imports {ours}" for name in modules() if room(name) == "tricks"
             for place, ours, _ in imports(name) if ours is not None and room(ours) not in ("core", "errors")]
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
    ("data.load", "from ..trainer.step import step", test_imports_run_downward, "beside"),
    ("models.build", "import autotricks.core.plan", test_imports_run_downward, "beside"),
    ("core.slots", "from .plan import plan", test_there_is_no_cycle, "core.slots"),
    ("experiment", "import ray.tune", test_foreign_libraries_stay_in_their_places, "experiment imports ray"),
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

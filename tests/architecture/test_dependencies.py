"""Every library that the package or its tests import is declared in pyproject.toml."""
import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"autotricks", "tests", "benchmarks", *(path.stem for path in (ROOT / "benchmarks").iterdir())}
TOLD = {"neps", "smac", "ConfigSpace", "pytorch_lightning", "lightning"}      # of other environments


def declared(*extras):
    """Names of the distributions that pyproject.toml asks for, of extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {re.split(r"[\[<>=;~! ]", line)[0].lower().replace("_", "-") for line in asked}


def imported(*folders):
    """Top-level modules of other people that are imported below some folders, with a file that does."""
    found = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found.update({name.partition(".")[0]: path.relative_to(ROOT) for name in names})
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names and name not in OURS}


@pytest.mark.parametrize(("folders", "extras"), [
    (("autotricks",), ("cluster", "server", "export", "hf", "heic")),
    (("tests", "benchmarks"), ("cluster", "server", "export", "hf", "heic", "dev", "bench"))])
def test_what_is_imported_is_declared(folders, extras):
    asked, owners = declared(*extras), packages_distributions()
    missing = [f"{path} imports {name}, of {', '.join(owners.get(name, ['no distribution here']))}"
               for name, path in sorted(imported(*folders).items()) if name not in TOLD
               and not asked & {owner.lower().replace("_", "-") for owner in owners.get(name, [])}]
    assert not missing, "\n".join(missing)


def test_a_library_that_nobody_declared_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy>=2"]\n[project.optional-dependencies]\n'
                                             "cluster = []\nserver = []\nexport = []\n")
    (tmp_path / "autotricks").mkdir()
    (tmp_path / "autotricks" / "one.py").write_text("import numpy\nfrom scipy.stats import norm\n")
    with pytest.raises(AssertionError, match=r"one\.py imports scipy, of scipy"):
        test_what_is_imported_is_declared(("autotricks",), ("cluster", "server", "export"))

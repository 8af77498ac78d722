"""The package as its files, parsed."""
import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2] / "autotricks"


@cache
def modules():
    """Every module by its dotted name below the package, such as `core.plan`; the package itself is ''."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert len(found) > 60
    return found


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path, node):
    return f"{path.relative_to(ROOT.parent)}:{node.lineno}"

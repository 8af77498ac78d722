"""Strict YAML: text to plain values that remember where they stood.

YAML 1.2's core rules decide what a word means: `1e-3` is a number; `no`, `on` and `1:30` are text. Duplicate keys,
tags, more than a few aliases, deep nesting and second documents are refused.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from ..errors import SpaceError

Path = tuple[str | int, ...]

MAX_BYTES, MAX_NODES, MAX_DEPTH = 1_000_000, 10_000, 30
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True,
                          "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass
class Tree:
    """Plain values, and the line and column of each by its path; `file` is the name that errors show."""

    file: str
    value: Any = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """Return `file:line:column` of the value at `path`, or of the nearest value that holds it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.marks:
                line, column = self.marks[path[:length]]
                return f"{self.file}:{line}:{column}" if line else self.file
        return self.file

    def problem(self, path: Path, text: str) -> str:
        """Return one line that says where, which value, and what is wrong with it."""
        name = ".".join(str(part) for part in path)
        return f"{self.where(path)}  {name + ': ' if name else ''}{text}"

    def override(self, path: Path, value: Any) -> None:
        """Replace or add the value at a path of keys; it belongs to the command line from then on."""
        self.value = self.value if isinstance(self.value, dict) else {}
        here = self.value
        for part in path[:-1]:
            here[part] = here[part] if isinstance(here.get(part), dict) else {}
            here = here[part]
        here[path[-1]] = value
        for known in [known for known in self.marks if known[:len(path)] == path]:
            del self.marks[known]
        self.marks[path] = (0, 0)


def scalar(text: str) -> Any:
    """Return what a plain word means by the core rules of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def parse(text: str | bytes, file: str) -> Tree:
    """Read one YAML document.

    Raises:
        SpaceError: With file, line and column of what cannot be read.
    """
    if len(text) > MAX_BYTES:
        raise SpaceError(f"{file}: {len(text):,} bytes; a file holds at most {MAX_BYTES:,}.")
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        root = yaml.compose(text, Loader=yaml.CBaseLoader)
    except UnicodeDecodeError as error:
        raise SpaceError(f"{file}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    except RecursionError:
        raise SpaceError(f"{file}: nested more than {MAX_DEPTH} deep.") from None
    except yaml.YAMLError as error:
        raise SpaceError(f"{file}{_mark(error)}  {_reason(error)}") from None
    tree = Tree(file)
    if root is not None:
        found: list[str] = []
        tree.value = _Reader(tree, found).read(root, ())
        if found:
            raise SpaceError(found)
    return tree


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _reason(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    context = getattr(error, "context", None)
    hints = {"expected a single document in the stream": "a space is one document; drop the second '---'",
             "found character that cannot start any token": "this character cannot start a value; is it a tab? "
                                                            "Indent with spaces"}
    if problem == "but found another document":
        return "a space is one document; drop the second '---'."
    return f"not valid YAML: {hints.get(problem, problem)}{' ' + context if context else ''}."


@dataclass
class _Reader:
    """Turns composed nodes into values, counting what it reads."""

    tree: Tree
    found: list[str]
    nodes: int = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node and note where it stands."""
        self.nodes += 1
        self.tree.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if len(path) > MAX_DEPTH or self.nodes > MAX_NODES:
            what = f"nested more than {MAX_DEPTH} deep" if len(path) > MAX_DEPTH else f"more than {MAX_NODES:,} values"
            raise SpaceError(self.tree.problem(path[:3], f"{what}; are its aliases circular or multiplying?"))
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.rpartition(":")[2] not in ("str", "seq", "map"):
            self.found.append(self.tree.problem(path, f"tags such as {node.tag.rpartition(':')[2]} are not allowed."))
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, place)) for place, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        text: str = node.value
        return text if node.style else scalar(text)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, child in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            here = (key.start_mark.line + 1, key.start_mark.column + 1)
            if name is None:
                self.found.append(f"{self.tree.file}:{here[0]}:{here[1]}  a key must be a word.")
                continue
            if name in result:
                line = self.tree.marks[(*path, name)][0]
                self.found.append(f"{self.tree.file}:{here[0]}:{here[1]}  {'.'.join(map(str, (*path, name)))}: "
                                  f"this key stands twice, first in line {line}. Drop one.")
                continue
            self.tree.marks[(*path, name)] = here
            result[name] = self.read(child, (*path, name))
        return result

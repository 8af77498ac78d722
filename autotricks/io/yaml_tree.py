"""Strict YAML: text to plain values that remember where they stood.

YAML 1.2's core rules decide what a word means: `1e-3` is a number; `no`, `on` and `1:30` are text. So are `0x1f`,
`.inf` and `.nan`, which nothing here takes. Duplicate keys, tags, aliases that multiply, deep nesting and second
documents are refused.
"""
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from ..errors import SpaceError, printable
from .did_you_mean import suggest

Path = tuple[str | int, ...]

MAX_DEPTH = 30
MAX_DIGITS = 18
MAX_LINE = 600
MAX_HINTS = 50
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
WHOLE = re.compile(r"[-+]?[0-9]+")
_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2, c-printable
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True,
                          "TRUE": True, "false": False, "False": False, "FALSE": False}


class Limits(NamedTuple):
    """How large a file may be."""

    bytes: int
    values: int


SMALL = Limits(1_000_000, 10_000)
LARGE = Limits(10_000_000, 200_000)     # of a bundle, which has the names of all classes


@dataclass
class Tree:
    """Plain values, and the line and column of each by its path; `file` is the name that errors show."""

    file: str
    value: Any = None
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    hints: int = 0

    def where(self, path: Path) -> str:
        """Return `file:line:column` of the value at `path`, or of the nearest that holds it; or `--set`."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.marks:
                line, column = self.marks[path[:length]]
                return f"{self.file}:{line}:{column}" if line else "--set"
        return f"{self.file}:1:1"

    def problem(self, path: Path, text: str) -> str:
        """Return one line that says where, which value, and what is wrong with it."""
        name = ".".join(str(part) for part in path)
        return one_line(f"{self.where(path)}  {name + ': ' if name else ''}{text}")

    def hint(self, word: str, known: Iterable[str], beside: Path | None = None) -> str:
        """Return which known word was meant; a file of nothing but wrong words is not worth the time.

        Args:
            word: As it was given.
            known: Those that are allowed.
            beside: The path that all of them are keys at; of two as near, one that does not stand there yet is meant.
        """
        self.hints += 1
        if self.hints > MAX_HINTS:
            return ""
        return suggest(word, known if beside is None else sorted(known, key=lambda key: (*beside, key) in self.marks))

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
        for length in range(1, len(path) + 1):
            self.marks.setdefault(path[:length], (0, 0))


def without(value: Any, wrong: set[Path], path: Path = ()) -> Any:
    """Return plain values without what stands at the `wrong` paths."""
    if any(len(other) > len(path) and other[:len(path)] == path for other in wrong):
        if isinstance(value, dict):
            return {key: without(inner, wrong, (*path, key)) for key, inner in value.items()
                    if (*path, key) not in wrong}
        if isinstance(value, list):
            return [without(inner, wrong, (*path, index)) for index, inner in enumerate(value)
                    if not any(other[:len(path) + 1] == (*path, index) for other in wrong)]
    return value


def one_line(text: str) -> str:
    """Return text with whatever cannot be printed escaped, and its middle left out where it is too long."""
    line = printable(text)
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE // 2]} ... {line[-MAX_LINE // 2:]}"


def scalar(text: str) -> Any:
    """Return what a plain word means by the core rules of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if WHOLE.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else text


def parse(text: str | bytes, file: str, problems: list[str] | None = None, limits: Limits = SMALL) -> Tree:
    """Read one YAML document.

    Args:
        text: Of the file.
        file: Its name in errors.
        problems: Takes a line for each thing that is refused but does not keep the rest from being read, such as a key
            that stands twice; without it these are raised too.
        limits: Of the file's size.

    Raises:
        SpaceError: With file, line and column of what cannot be read.
    """
    if len(text) > limits.bytes:
        raise SpaceError(f"{file}: more than {limits.bytes:,} bytes; a file of tricks is smaller.")
    try:
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        if control := _CONTROL.search(text):
            raise SpaceError(f"{_location(file, text[:control.start()])}  {control[0]!r} is no character of a text "
                             "file. Save the file as UTF-8.")
        _guard(text, file, limits.values)
        root = yaml.compose(text, Loader=yaml.CBaseLoader)
    except UnicodeDecodeError as error:
        before = error.object[:error.start].decode("utf-8-sig")
        raise SpaceError(f"{_location(file, before)}  not UTF-8. Save the file as UTF-8.") from None
    except yaml.YAMLError as error:
        raise SpaceError(f"{file}{_mark(error)}  {_reason(error)}") from None
    tree = Tree(file)
    refused = list[str]()
    if root is not None:
        tree.value = _Reader(tree, refused, limits.values).read(root, ())
    if refused and problems is None:
        raise SpaceError(refused)
    if problems is not None:
        problems += refused
    return tree


def _location(file: str, before: str) -> str:
    return f"{file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _guard(text: str, file: str, most: int) -> None:
    """Refuse tags, and what composing recurses into too deeply; read as events, nothing recurses."""
    problems: list[str] = []
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.CBaseLoader)):
        mark = event.start_mark
        here = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise SpaceError([*problems, f"{here}  nested more than {MAX_DEPTH} deep."])
        if count > 3 * most:
            raise SpaceError([*problems, f"{here}  more than {most:,} values."])
        tag = getattr(event, "tag", None)
        if tag:
            short = tag.replace("tag:yaml.org,2002:", "!!")
            problems.append(one_line(f"{here}  tags such as {short} are not allowed. Drop it."))
    if problems:
        raise SpaceError(problems)


def _mark(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _reason(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    context = getattr(error, "context", None)
    begun = getattr(error, "context_mark", None)
    if problem == "but found another document":
        return "a space is one document; drop the second '---'."
    if problem == "found character that cannot start any token":
        return "not valid YAML: this character cannot start a value; is it a tab? Indent with spaces."
    if not context:
        return f"not valid YAML: {problem}."
    line = f" that begins in line {begun.line + 1}" if begun else ""
    return f"not valid YAML: {problem} {context}{line}."


@dataclass
class _Reader:
    """Turns composed nodes into values, counting what it reads."""

    tree: Tree
    problems: list[str]
    most: int
    nodes: int = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node and note where it stands."""
        self.nodes += 1
        self.tree.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if len(path) > MAX_DEPTH or self.nodes > self.most:
            what = f"nested more than {MAX_DEPTH} deep" if len(path) > MAX_DEPTH else f"more than {self.most:,} values"
            raise SpaceError(self.tree.problem(path[:3], f"{what}; are its aliases circular or multiplying?"))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        text: str = node.value
        return text if node.style else scalar(text)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, child in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            here = (key.start_mark.line + 1, key.start_mark.column + 1)
            if name is None:
                self.problems.append(f"{self.tree.file}:{here[0]}:{here[1]}  a key must be a word.")
                continue
            if name in result:
                line = self.tree.marks[(*path, name)][0]
                self.problems.append(f"{self.tree.file}:{here[0]}:{here[1]}  {'.'.join(map(str, (*path, name)))}: "
                                     f"this key stands twice, first in line {line}. Drop one.")
                continue
            self.tree.marks[(*path, name)] = here
            result[name] = self.read(child, (*path, name))
        return result

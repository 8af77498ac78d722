"""Techniques: what the project set out to offer, row by row against the trick or the part that does it."""
from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...core.trick import Trick
from ...io.yaml_tree import parse
from ...tricks.catalog import find

FILE = Path(__file__).with_suffix(".yaml")
PAPER = re.compile(r"^ *Paper:\s+(.+?),?\s+(https?://[^\s,;]+)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One technique and one thing that does it; what is refused has the reason in `what` and nothing after it."""

    id: str
    name: str
    what: str
    seat: str = ""
    test: str = ""
    paper: str = ""

    @property
    def refused(self) -> bool:
        """Whether nothing does it."""
        return not self.test


@cache
def document() -> dict[str, Any]:
    """Return the file of techniques as plain data."""
    return dict(parse(FILE.read_bytes(), FILE.name).value)


def rows() -> list[Row]:
    """Return the rows of all techniques in the order of the file, one for each trick of each."""
    all_rows = []
    for number, technique in document()["techniques"].items():
        name = technique["name"]
        all_rows += [_trick(number, name, find(trick)) for trick in technique.get("tricks", [])]
        if "part" in technique:
            all_rows.append(Row(number, name, technique["part"], test=technique["test"]))
        if "refused" in technique:
            all_rows.append(Row(number, name, f"refused: {technique['refused']}"))
    return all_rows


def ours() -> list[Row]:
    """Return a row for each trick that no technique names."""
    return [_trick("", why, find(trick)) for trick, why in document()["ours"].items()]


def markdown() -> str:
    """Return all rows as tables, one for each family."""
    every = rows()
    named = {row.what for row in [*every, *ours()] if row.seat}
    lines = ["# Techniques and tricks", "",
             "Made by `autotricks tricks list --markdown`. A seat with `!` holds one trick at a time.", "",
             f"{len(document()['techniques'])} techniques, {sum(row.refused for row in every)} of them refused with a "
             f"reason; {len(named)} tricks.", ""]
    for letter, family in document()["families"].items():
        lines += _table(f"{letter}. {family}", [row for row in every if row.id[0] == letter])
    return "\n".join([*lines, *_table("Tricks beyond these", ours())[:-1]]) + "\n"


def _table(title: str, listed: list[Row]) -> list[str]:
    lines = [f"## {title}", "", "| | technique | by | seat | test | paper |", "| --- | --- | --- | --- | --- | --- |"]
    for row in listed:
        by = f"`{row.what}`" if row.seat else row.what
        test = f"`{row.test}`" if row.test else ""
        lines.append(f"| {row.id} | {row.name} | {by} | {row.seat} | {test} | {row.paper} |")
    return [*lines, ""]


def _trick(number: str, name: str, kind: type[Trick]) -> Row:
    seats = ", ".join(f"{slot.value}.{seat}{'!' * slot.seat(seat).single}" for slot, seat in kind.seats.items())
    test = document()["tests"].get(kind.name, f"tests/tricks/test_{kind.name}.py")
    return Row(number, name, kind.name, seats, test, paper(kind))


def paper(kind: type[Trick]) -> str:
    """Return the first paper that a trick's docstring cites, as a link."""
    cited = PAPER.search(inspect.getdoc(kind) or "")
    return f"[{' '.join(cited[1].split())}]({cited[2].rstrip('.')})" if cited else ""

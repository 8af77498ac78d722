"""Hierarchy files: which group each class belongs to."""
from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError

COLUMNS = ("class", "group")
MAX_LISTED = 10     # problems that are told one by one


def read(path: Path, where: str) -> list[list[str]]:
    """Return the lines of a hierarchy file, the first of which is `class,group`.

    Raises:
        DataError: When it is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{where}: {path} cannot be read: {why}. It must be a CSV file `class,group`.") from None
    if not lines or tuple(word.strip() for word in lines[0]) != COLUMNS:
        first = repr(",".join(lines[0])) if lines else "nothing"
        raise DataError(f"{where}: {path} begins with {first}; its first line must be class,group.")
    return lines


def groups(path: Path, classes: Sequence[str], where: str) -> list[int]:
    """Return the number of the group of each class; groups are numbered by name.

    Args:
        path: A CSV file whose first line is `class,group`, with one line for each class in any order.
        classes: What stands for each class in the file.
        where: Who asked, for errors.

    Raises:
        DataError: With one line for each problem of the file.
    """
    lines = read(path, where)
    group_of = {line[0].strip(): line[1].strip() for line in lines[1:] if len(line) == len(COLUMNS)}
    wrong = [*_problems(lines, classes), *([] if set(classes) - set(group_of) else _sizes(group_of, classes))]
    if wrong:
        more = [f"and {len(wrong) - MAX_LISTED} problems more."] if len(wrong) > MAX_LISTED else []
        raise DataError(f"{where}: {path}: {line}" for line in [*wrong[:MAX_LISTED], *more])
    number = {name: index for index, name in enumerate(sorted({group_of[name] for name in classes}))}
    return [number[group_of[name]] for name in classes]


def _problems(lines: Sequence[Sequence[str]], classes: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with single lines, then the classes that no line is about."""
    known = set(classes)
    seen = dict[str, int]()
    for number, line in enumerate(lines[1:], start=2):
        if not any(word.strip() for word in line):
            continue
        name = line[0].strip()
        if len(line) != len(COLUMNS) or not all(word.strip() for word in line):
            yield f"line {number} is {','.join(line)!r}; it must be a class, a comma and its group."
        elif name not in known:
            yield f"line {number}: there is no class {name!r}; classes are {classes[0]} to {classes[-1]}."
        elif name in seen:
            yield f"line {number}: class {name!r} has its group in line {seen[name]} already. Drop one of the two."
        seen.setdefault(name, number)
    missing = [name for name in classes if name not in seen]
    if missing:
        listed = ", ".join(missing[:MAX_LISTED]) + (", ..." if len(missing) > MAX_LISTED else "")
        yield f"{len(missing)} of {len(classes)} classes have no line: {listed}. Each class needs one."


def _sizes(group_of: dict[str, str], classes: Sequence[str]) -> Iterator[str]:
    count = len({group_of[name] for name in classes})
    if not 1 < count < len(classes):
        yield f"it has {count} groups for {len(classes)} classes; there must be at least 2 and fewer than classes."

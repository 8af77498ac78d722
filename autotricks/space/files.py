"""Files: where a space or bundle lies, and what it says before anything heavy is imported to check it."""
from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path as FilePath

from ..errors import SpaceError
from ..io.checksum import CHANGED, damaged
from ..io.yaml_tree import LARGE, SMALL, Tree, one_line, parse

SHIPPED = (FilePath(__file__).parents[1] / "search_spaces", FilePath(__file__).parents[2] / "search_spaces")


@cache
def shipped(kind: str = "") -> tuple[FilePath, ...]:
    """Return the space files that ship with autotricks; `kind` is a folder below, such as `published`."""
    folder = next((folder / kind for folder in SHIPPED if folder.is_dir()), None)
    return tuple(sorted(folder.glob("*.yaml"))) if folder and folder.is_dir() else ()


def known_file(name: str, kind: str = "") -> FilePath | None:
    """Return the file at a path, or the one of that name that ships with autotricks; None where there is neither."""
    names = (name, f"{name}.yaml")
    ships = (path for path in shipped(kind) if path.name in names)
    # os.path does not raise from a path too long or in a closed folder
    return FilePath(name) if os.path.exists(name) else next(ships, None)


def find_file(name: str, kind: str = "") -> FilePath:
    """Return the file at a path, or the one of that name that ships with autotricks.

    Raises:
        SpaceError: When there is neither; the nearest names are given.
    """
    path = known_file(name, kind)
    if path:
        return path
    known = [path.name for path in shipped(kind)]
    folder = FilePath(name).parent
    here = [path.name for path in folder.glob("*.yaml")] if os.path.isdir(folder) else []
    stems = {FilePath(file).stem: file for file in [*known, *here]}
    near = [stems[stem] for stem in difflib.get_close_matches(FilePath(name).stem, stems, 3, 0.5)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise SpaceError(one_line(f"{name}: no such file.{hint} Those that ship: {', '.join(known) or 'none'}."))


def read_tree(path: FilePath, bundle: bool = False) -> tuple[Tree, list[str]]:
    """Read a file, not yet checked; return its values, and what is refused although the rest can be read.

    Args:
        path: Of the file.
        bundle: Whether it is one: with the names of all classes, and as it was written if it has a checksum.

    Raises:
        SpaceError: When it cannot be read, with the place.
    """
    errors: list[str] = []
    limits = LARGE if bundle else SMALL
    ships = any(path.is_relative_to(folder) for folder in SHIPPED)
    try:
        with path.open("rb") as file:
            content = file.read(limits.bytes + 1)
        if bundle and damaged(content):
            errors.append(f"{path}: {CHANGED}")
        return parse(content, path.name if ships else str(path), errors, limits), errors
    except OSError as error:
        what = "is a folder" if error.errno == errno.EISDIR else f"cannot be read: {error.strerror}"
        raise SpaceError(f"{path}: {what}. Name a {'bundle' if bundle else 'space'} file.") from None


def engine(name: str, overrides: Sequence[str] = ()) -> str:
    """Return the engine that a space asks for; `auto` where it does not say, or cannot be read."""
    engines = [text.partition("=")[2] for text in overrides if text.startswith("search.engine=")]
    if engines:
        return engines[-1]
    try:
        return str(read_tree(find_file(name))[0].value["search"]["engine"])
    except (SpaceError, KeyError, TypeError):
        return "auto"

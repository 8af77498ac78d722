"""The group of each image file: what a pattern finds in its path."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ...errors import DataError
from .files import Entry

MAX_LISTED = 3


def by_pattern(entries: Sequence[Entry], paths: Sequence[str], pattern: str) -> list[Entry]:
    """Return the entries with their groups: what the pattern's group finds in each path.

    Args:
        entries: Image files.
        paths: Of each, with forward slashes, relative to the source.
        pattern: A regular expression with one group, searched anywhere in the path.

    Raises:
        DataError: When it finds nothing in some of them, or the same in all.
    """
    search = re.compile(pattern).search
    groups = [match[1] if (match := search(path)) else None for path in paths]
    without = [path for path, name in zip(paths, groups) if not name]
    if without:
        what = "nothing in any path" if not any(groups) else f"nothing in {len(without)} of {len(paths)} paths"
        raise DataError(f"data.group.pattern: {pattern!r} finds {what}, such as {', '.join(without[:MAX_LISTED])}. It "
                        "must find the group of every image; paths are relative to the source.")
    if len({*groups}) == 1:
        raise DataError(f"data.group.pattern: {pattern!r} finds the same group, {groups[0]!r}, in every path, such as "
                        f"{', '.join(paths[:MAX_LISTED])}. Part them, or leave data.group out.")
    return [replace(entry, group=name or "") for entry, name in zip(entries, groups)]

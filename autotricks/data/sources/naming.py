"""The parts of a source's name: `PATH?label=fine&image=picture`, as models' names have arguments."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import DataError
from .raw import SPLIT_WORDS

_OPTIONS = re.compile(r"(.*?)\?(\w+=.*)", re.DOTALL)     # a ? with no = after it may be a wildcard
_WORDS = re.compile(r"[A-Za-z]+")


def parse(word: str, argument: str, known: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Take apart what stands after the source's word: a place, and arguments.

    Args:
        word: The source's, for messages.
        argument: What follows it.
        known: The arguments that it takes.

    Raises:
        DataError: When an argument is unknown, empty or there twice.
    """
    found = _OPTIONS.fullmatch(argument)
    if not found:
        return argument, {}
    options: dict[str, str] = {}
    for text in found[2].split("&"):
        name, _, value = text.partition("=")
        if name not in known or not value or name in options:
            raise DataError(f"data.source: {word}:{argument}: {text!r} is not allowed; {word} takes "
                            f"{', '.join(f'{one}=...' for one in known)}, each once, with & between.")
        options[name] = value
    return found[1], options


def split_of(name: str) -> str | None:
    """Return the split that a file's name says, such as train-00000-of-00002 or imagenet_val.tar; None if it says none.

    Raises:
        DataError: When it says several.
    """
    said = {SPLIT_WORDS[word] for word in map(str.lower, _WORDS.findall(name)) if word in SPLIT_WORDS}
    if len(said) > 1:
        raise DataError(f"data.source: {name} is called by several splits: {', '.join(sorted(said))}. Rename it.")
    return said.pop() if said else None


def splits_of(names: Sequence[str]) -> Mapping[str, str | None]:
    """Return the split of each file by its name relative to the source; all are of train where none says one."""
    said = {name: split_of(name) for name in names}
    return said if any(said.values()) else dict.fromkeys(names, "train")

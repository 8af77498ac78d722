"""The parts of a source's name, `NAME?config=small`, as models' names have arguments; and splits in names of files."""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import DataError
from ..settings import Settings
from .raw import MORE_WORDS

_LETTERS = re.compile(r"[^\W\d_]+")
_WORDS = re.compile(r"[^\W_]+")


def parse(word: str, argument: str, known: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Take apart what stands after the source's word: a name, and arguments.

    Args:
        word: The source's, for messages.
        argument: What follows it.
        known: The arguments that it takes.

    Raises:
        DataError: When an argument is unknown, empty or there twice.
    """
    name, _, written = argument.partition("?")
    options: dict[str, str] = {}
    for text in written.split("&") if written else []:
        key, _, value = text.partition("=")
        if key not in known or not value or key in options:
            raise DataError(f"data.source: {word}:{argument}: {text!r} is not allowed; {word} takes "
                            f"{' and '.join(f'{one}=...' for one in known)}, each once, with & between.")
        options[key] = value
    return name, options


def splits_of(names: Sequence[str], settings: Settings) -> dict[str, str | None]:
    """Return the split that each file's name says, such as train-00000-of-00002 or val/shard-3; None if it says none.

    Where no name says one, all are of train. `data.splits` names words of its own.

    Args:
        names: Relative to the source.
        settings: With `splits`.

    Raises:
        DataError: When a name says several.
    """
    words: Mapping[str, str] = settings.splits.by_word() if settings.splits else MORE_WORDS
    said = {name: _split_of(name, words) for name in names}
    if settings.splits and not settings.splits.train:
        return {name: split or "train" for name, split in said.items()}
    return said if any(said.values()) else dict.fromkeys(names, "train")


def _split_of(name: str, words: Mapping[str, str]) -> str | None:
    spelled = {word.lower() for part in (_LETTERS, _WORDS) for word in part.findall(name)}
    said = {split for word, split in words.items() if word in spelled}
    if len(said) > 1:
        raise DataError(f"data.source: {name} is called by several splits, {', '.join(sorted(said))}. Rename it, or "
                        "say which word counts: data.splits.")
    return said.pop() if said else None

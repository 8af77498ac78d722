"""What names say: the arguments of a source, `NAME?config=small`, the files of a pattern, and the splits of files."""
from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import DataError
from ..decode import display_name
from ..settings import SPLITS, Settings
from .files import Entry, existing
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


def found(location: str, suffix: str) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the files of a pattern, or of a folder, or the one, sorted.

    Raises:
        DataError: When there are none.
    """
    if "*" in location:
        pattern = Path(location).expanduser()
        files = sorted(map(Path, glob.glob(str(pattern), recursive=True)))
        root = Path(f"{str(pattern).split('*')[0]}x").parent
    else:
        root = existing(location)
        files = sorted(root.rglob(f"*{suffix}")) if root.is_dir() else [root]
        root = root if root.is_dir() else root.parent
    if not files:
        raise DataError(f"data.source: {display_name(location)} holds no {suffix} file. Name a folder that does, or a "
                        "file.")
    return root, files


def relative(file: Path, root: Path) -> str:
    """Return the name of a file below the folder that names are relative to."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name


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


def told_splits_of(names: Sequence[str], settings: Settings) -> dict[str, str | None]:
    """Return what `splits_of` does, of names that alone can say it.

    Raises:
        DataError: When a name says several, or none says any that `data.splits` names.
    """
    wanted = settings.splits.by_word() if settings.splits else {}
    if wanted and names and not any(_split_of(name, wanted) for name in names):
        raise DataError(f"data.splits: no name says {' or '.join(wanted)}, such as {display_name(names[0])}. Name "
                        "words that stand there.")
    return splits_of(names, settings)


def there(entries: Sequence[Entry]) -> list[str]:
    """Return the splits that there are, in their order."""
    found = {entry.split for entry in entries}
    return [split for split in SPLITS if split in found]


def _split_of(name: str, words: Mapping[str, str]) -> str | None:
    spelled = {word.lower() for part in (_LETTERS, _WORDS) for word in part.findall(name)}
    said = {split for word, split in words.items() if word in spelled}
    if len(said) > 1:
        raise DataError(f"data.source: {name} is called by several splits, {', '.join(sorted(said))}. Rename it, or "
                        "say which word counts: data.splits.")
    return said.pop() if said else None

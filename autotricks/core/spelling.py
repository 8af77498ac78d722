"""Spelling: which known word was meant."""
from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 64    # letters of a word that are looked at


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean X?`, or nothing where no known word is near."""
    near = nearest(word, known)
    return f" Did you mean {near}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that takes the fewest slips of the pen, where they are few, else the most alike.

    A slip is a letter too many, too few, or another one, or two neighbors swapped; capitals and hyphens are none.
    """
    given = _plain(word)
    away = {other: slips(given, _plain(other)) for other in known}
    fewest = min(away.values(), default=LONGEST)
    if len(given) > 1 and fewest <= max(1, len(given) // 3):
        return max((other for other in away if away[other] == fewest), key=lambda other: _alike(given, other))
    return next(iter(difflib.get_close_matches(given, away, 1, 0.6)), None)


def slips(left: str, right: str) -> int:
    """Return the distance of optimal string alignment between two words.

    Paper: Damerau 1964, A technique for computer detection and correction of spelling errors,
        https://doi.org/10.1145/363958.363994
    """
    before, last = list[int](), list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        here = [row]
        for column, other in enumerate(right, 1):
            fewest = min(last[column] + 1, here[-1] + 1, last[column - 1] + (letter != other))
            if before and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                fewest = min(fewest, before[column - 2] + 1)
            here.append(fewest)
        before, last = last, here
    return last[-1]


def _plain(word: str) -> str:
    return word[:LONGEST].strip().lower().replace("-", "_").replace(" ", "_")


def _alike(left: str, right: str) -> float:
    return difflib.SequenceMatcher(None, left, right).ratio()

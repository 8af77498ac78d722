"""Spelling: which known word was meant."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

LONGEST = 64    # letters of a word that are looked at
STEM = 3        # letters that a word must share with its short or long form
FAR = (9, 0.0)
LISTED = 20     # words that a line names
SYNONYMS = {    # what others call it: what it is called here, or a word of that, for tricks, keys and values
    "learning_rate": "lr", "smoothing": "epsilon", "p": "probability", "gamma": "factor", "begin": "start",
    "end": "stop", "algorithm": "sampler", "method": "sampler", "strategy": "sampler", "direction": "mode",
    "goal": "objective", "cores": "cpus", "n_jobs": "parallel", "jobs": "parallel", "backend": "engine",
    "eta": "reduction", "budget": "trainings", "grace_period": "first", "min_budget": "first", "dtype": "precision",
    "memory_format": "layout", "network": "model", "architecture": "model", "backbone": "model", "arch": "model",
    "dataset": "source", "path": "source", "folder": "source", "resolution": "size", "remove": "drop",
    "bo": "bayesian", "optuna": "tpe", "genetic": "bayesian", "evolution": "bayesian", "float32": "fp32",
    "crt": "retraining", "sgdr": "restart",
}


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean X?`, or nothing where no known word is near."""
    near = nearest(word, known)
    return f" Did you mean {near}?" if near else ""


def listed(known: Sequence[str]) -> str:
    """Return known words as a line has them, and of very many the first."""
    more = len(known) - LISTED
    return ", ".join(known[:LISTED]) + (f" and {more} more" if more > 0 else "")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was most likely meant, the first of those as near; None where none is near.

    Nearest is another name of it, its initials, or one slip of the pen; then what shares whole words with it, or
    their beginnings; then what takes few slips. A slip is a letter too many, too few, or another one, or two
    neighbors swapped; capitals and hyphens are none.
    """
    given = _plain(word)
    away = {other: _away(given, _plain(other)) for other in known}
    closest = min(away, key=lambda other: away[other], default=None)
    return closest if closest is not None and away[closest] < FAR else None


def _away(given: str, other: str) -> tuple[int, float]:
    """Return how far a word is from a known one; of two as far, the one that begins with another letter is farther."""
    if given == other:
        return 0, 0
    words = given.split("_")
    parts = other.split("_")
    begun = (given[:1] != other[:1]) / 2
    if SYNONYMS.get(given) in (other, *parts) or (len(parts) > 1 and given == "".join(part[:1] for part in parts)):
        return 1, len(parts)
    most = max(1, (len(given) + 1) // 3) if len(given) > 1 else 0
    count = slips(given, other) if _least_slips(given, other) <= most else most + 1
    if count <= min(1, most):
        return 2, begun
    shared = _shared(words, parts)
    if shared:
        return 3, len(given) + len(other) - 2 * shared + begun
    return (4, count + begun) if count <= most else FAR


def _shared(words: list[str], parts: list[str]) -> int:
    """Return the letters that two names share in words of one meaning; 0 where either has a word that says more."""
    if len(parts) > len(words):
        words, parts = parts, words
    left = list(words)
    letters = 0
    for part in parts:
        partner = max(left, key=lambda word: _alike(part, word))
        alike = _alike(part, partner)
        if not alike:
            return 0
        left.remove(partner)
        letters += alike
    return letters


@lru_cache(maxsize=100_000)
def _alike(left: str, right: str) -> int:
    """Return the letters in common of a word and its short or long form, or one with a slip in it; 0 for any other."""
    if left == right:
        return len(left)
    short, long = sorted((left, right), key=len)
    if len(short) >= STEM and long.startswith(short):
        return len(short)
    if len(short) > STEM and short[0] == long[0] and _least_slips(short, long) <= 1 and slips(short, long) == 1:
        return len(short) - 1
    return 0


def _least_slips(left: str, right: str) -> int:
    """Return a number that slips cannot be below: each letter that the other lacks takes one."""
    one = _letters(left)
    two = _letters(right)
    return max(abs(len(left) - len(right)), (one & ~two).bit_count(), (two & ~one).bit_count())


@lru_cache(maxsize=100_000)
def _letters(word: str) -> int:
    mask = 0
    for letter in word:
        mask |= 1 << ord(letter) % 64
    return mask


def slips(left: str, right: str) -> int:
    """Return the distance of optimal string alignment between two words.

    Paper: Damerau 1964, A technique for computer detection and correction of spelling errors,
        https://doi.org/10.1145/363958.363994
    """
    before = list[int]()
    last = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        here = [row]
        for column, other in enumerate(right, 1):
            fewest = min(last[column] + 1, here[-1] + 1, last[column - 1] + (letter != other))
            if before and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                fewest = min(fewest, before[column - 2] + 1)
            here.append(fewest)
        before = last
        last = here
    return last[-1]


def _plain(word: str) -> str:
    return re.sub("[-/ ]", "_", word[:LONGEST].strip().lower())

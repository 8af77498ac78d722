"""Walking a space: every combination of its choices in turn, and how many there are."""
from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from typing import Any, Protocol

from ..core.domain import Choice, Domain, Float, Int, Value

COUNTED = 500      # combinations of one part of a space that are counted one by one
WALKS = 400


class Drawn(Protocol):
    """A space, or a part of one."""

    def choices(self) -> Iterator[Mapping[str, Value]]:
        """Yield every combination."""
        ...

    def draw(self, pick: Callable[[str, Domain], Value]) -> Any:
        """Draw one bundle."""
        ...


@dataclass
class Walk:
    """Picks every combination in turn: a trail of domains and which option of each is taken."""

    trail: list[tuple[list[Value], int]] = field(default_factory=list)
    picks: dict[str, Value] = field(default_factory=dict)

    def pick(self, name: str, domain: Domain) -> Value:
        """Take the trail's option, or the first of a choice not met before."""
        if len(self.picks) == len(self.trail):
            self.trail.append((_options(domain), 0))
        options, index = self.trail[len(self.picks)]
        self.picks[name] = options[index]
        return options[index]

    def advance(self) -> bool:
        """Move the last choice that has options left; return False where none has."""
        while self.trail and self.trail[-1][1] + 1 == len(self.trail[-1][0]):
            self.trail.pop()
        if self.trail:
            options, index = self.trail[-1]
            self.trail[-1] = (options, index + 1)
        return bool(self.trail)


def _options(domain: Domain) -> list[Value]:
    """Return the values of a domain that can be counted, or its lower end."""
    if isinstance(domain, Choice):
        return list(domain.options)
    if isinstance(domain, Int):
        return [domain.low] if domain.log else list(range(domain.low, domain.high + 1))
    assert isinstance(domain, Float)
    if domain.step:
        count = int((domain.high - domain.low) / domain.step + 1e-9) + 1
        return [min(domain.low + index * domain.step, domain.high) for index in range(count)]
    return [domain.low]


def size(parts: Sequence[Drawn]) -> tuple[int, bool]:
    """Return the number of combinations of independent parts, and whether each was counted."""
    counts = [sum(1 for _ in islice(part.choices(), COUNTED + 1)) for part in parts]
    exact = all(count <= COUNTED for count in counts)
    return prod(count if count <= COUNTED else estimate(part) for part, count in zip(parts, counts)), exact


def estimate(part: Drawn) -> int:
    """Return an unbiased estimate of the number of combinations, from random walks down the tree of choices.

    Paper: Knuth 1975, Estimating the efficiency of backtrack programs, https://doi.org/10.1090/S0025-5718-1975-0373371-6:
        the mean, over walks, of the product of the numbers of options met.
    """
    rng = random.Random(0)
    total = 0
    for _ in range(WALKS):
        met: list[int] = []

        def pick(name: str, domain: Domain, met: list[int] = met) -> Value:
            options = _options(domain)
            met.append(len(options))
            return rng.choice(options)
        part.draw(pick)
        total += prod(met)
    return total // WALKS

"""Steps: how a search gets from bundles that are good to bundles that may be better."""
from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..core.bundle import Bundle
from ..core.domain import Choice, Domain, Float, Int, Value, nearest
from ..space.space import Space, clash, typical
from ..tricks.catalog import catalog
from .features import MODEL_KEY, MODEL_WORD, Wish

KINDS = ("tune", "add", "drop", "cross", "draw")
AGAIN = 0.3         # of steps that are followed by another
FAR = 0.3           # of the moves of a number that go anywhere
TRIES = 20          # to find another value than the one there is
NEAR = 0.2          # standard deviation of a small step, as a share of the domain
TRICKS = 4
MOST = 9         # a draw has about so many tricks beside one, and at most so many
OFTEN = 4           # times as often as others: what matters most
RATES = ("lr", "weight_decay")
MATTER = (*RATES, MODEL_WORD)
FACTORS = (0.25, 0.5, 2.0, 4.0)     # by which these are moved alone


@dataclass(frozen=True)
class Step:
    """A wish, and how it came about.

    Args:
        kind: One of `KINDS`.
        wish: Tricks with their values.
        parents: Positions, among the bundles that were given, of those that it was made from.
    """

    kind: str
    wish: Wish
    parents: tuple[int, ...] = ()


class Steps:
    """Makes wishes from bundles.

    Args:
        space: What may be wished for.
        appeal: How much a trick is liked, by its name; a step adds tricks in proportion.
    """

    def __init__(self, space: Space, appeal: Callable[[str], float] = lambda trick: 1.0):
        self._space = space
        self._entries = {entry.name: entry for entry in space.entries}
        self._free = {entry.name: entry for entry in space.entries if not entry.always}
        self._appeal = {name: appeal(name) for name in self._free}
        self._clashes: dict[tuple[str, str], bool] = {}

    def step(self, kind: str, parents: Sequence[Wish], rng: random.Random) -> Step | None:
        """Return a step of a kind from one or two of the parents; None where none can be made."""
        if kind == "draw" or not parents:
            return Step("draw", self.draw(rng))
        first = rng.randrange(len(parents))
        if kind == "cross":
            others = [index for index in range(len(parents)) if index != first]
            if not others:
                return None
            second = rng.choice(others)
            return Step(kind, self._cross(parents[first], parents[second], rng), (first, second))
        wish = self._changed(kind, parents[first], rng)
        if wish is not None and rng.random() < AGAIN:
            more = self._changed(rng.choice(KINDS[:3]), wish, rng)
            if more is not None and more != parents[first]:     # where a second step takes the first back
                wish = more
        return Step(kind, wish, (first,)) if wish is not None else None

    def singles(self, wish: Wish) -> Iterator[Step]:
        """Yield every change of one thing of the first of the parents.

        Each trick is added at its usual values, each is taken out, rates and decays are moved.
        """
        for added, entry in self._free.items():
            if added not in wish:
                kept = {name: values for name, values in wish.items() if not self._clash(added, name)}
                usual = {key: typical(f"{added}.{key}", domain) for key, domain in entry.domains.items()}
                yield Step("add", {**kept, added: usual}, (0,))
            elif added not in self._space.task.defaults:
                rest = {name: values for name, values in wish.items() if name != added}
                yield Step("drop", rest, (0,))
        for model in self._space.models if MODEL_KEY in wish else ():
            if model != wish[MODEL_KEY][MODEL_WORD]:
                yield Step("tune", {**wish, MODEL_KEY: {MODEL_WORD: model}}, (0,))
        for name in sorted(set(wish) & set(self._entries)):
            for key, domain in self._entries[name].domains.items():
                if key in RATES and isinstance(domain, Float) and domain.log:
                    here = float(wish[name].get(key, _usual(name, key)))
                    for factor in FACTORS:
                        moved = {**wish[name], key: nearest(here * factor, domain)}
                        yield Step("tune", {**wish, name: moved}, (0,))

    def legal(self, wish: Wish, rng: random.Random) -> Bundle:
        """Return the legal bundle closest to a wish; what the wish leaves open is a default or anything."""
        return self._space.closest(wish, lambda name, domain: self._filled(name, domain, rng))

    def draw(self, rng: random.Random) -> Wish:
        """Wish for a few tricks, with values from anywhere in their domains; what is liked more comes more often."""
        wish: Wish = {}
        for _ in range(1 + min(int(rng.expovariate(1 / TRICKS)), MOST)):
            wish = self._added(wish, rng) or wish
        return wish

    def _changed(self, kind: str, wish: Wish, rng: random.Random) -> Wish | None:
        return {"tune": self._tuned, "add": self._added, "drop": self._dropped}[kind](wish, rng)

    def _tuned(self, wish: Wish, rng: random.Random) -> Wish | None:
        """Move one parameter, or two."""
        movable = [(name, key, domain) for name in sorted(wish) if name in self._entries
                   for key, domain in self._entries[name].domains.items()]
        if MODEL_KEY in wish:
            movable.append((MODEL_KEY, MODEL_WORD, Choice(*self._space.models)))
        if not movable:
            return None
        weights = [OFTEN if key in MATTER else 1 for _, key, _ in movable]
        changed = {name: dict(values) for name, values in wish.items()}
        picked = rng.choices(range(len(movable)), weights, k=rng.choice((1, 1, 2, 3)))
        for name, key, domain in (movable[index] for index in dict.fromkeys(picked)):
            here = changed[name][key] if key in changed[name] else _usual(name, key)
            changed[name][key] = _moved(here, domain, rng)
        return changed

    def _added(self, wish: Wish, rng: random.Random) -> Wish | None:
        """Add a trick; what cannot meet it leaves."""
        absent = [name for name in self._free if name not in wish]
        if not absent:
            return None
        added = rng.choices(absent, [self._appeal[name] for name in absent])[0]
        kept = {name: values for name, values in wish.items() if not self._clash(added, name)}
        return {**kept, added: {key: self._filled(f"{added}.{key}", domain, rng)
                                for key, domain in self._free[added].domains.items()}}

    def _dropped(self, wish: Wish, rng: random.Random) -> Wish | None:
        """Take a trick out; not what a required seat has by default."""
        able = [name for name in self._free if name in wish and name not in self._space.task.defaults]
        if not able:
            return None
        gone = rng.choice(able)
        return {name: values for name, values in wish.items() if name != gone}

    def _cross(self, left: Wish, right: Wish, rng: random.Random) -> Wish:
        """Take each trick from one of two bundles; what both have stays, with the values of either."""
        child: dict[str, Mapping[str, Value]] = {}
        names = sorted({*left, *right})
        rng.shuffle(names)
        names.sort(key=lambda name: not (name in left and name in right))
        for name in names:
            source = rng.choice((left, right))
            if name in source and not any(self._clash(name, other) for other in child):
                child[name] = source[name]
            elif name in left and name in right:
                child[name] = left[name]
        return child

    def _clash(self, left: str, right: str) -> bool:
        if left == right or left not in self._entries or right not in self._entries:
            return False
        pair = (left, right) if left < right else (right, left)
        if pair not in self._clashes:
            first, second = (self._entries[name].widest() for name in pair)
            self._clashes[pair] = clash(first, second, self._space.avoid)
        return self._clashes[pair]

    def _filled(self, name: str, domain: Domain, rng: random.Random) -> Value:
        """Return a parameter's default as often as anything else; of other choices anything."""
        if name.rpartition(".")[0] in self._entries and rng.random() < 0.5:
            return typical(name, domain)
        return _anywhere(domain, rng)


def changes(before: Wish, after: Wish) -> list[str]:
    """Return in words what tells one bundle from another."""
    lines = [f"+ {name}" for name in sorted(set(after) - set(before))]
    lines += [f"- {name}" for name in sorted(set(before) - set(after))]
    for name in sorted(set(before) & set(after)):
        lines += [f"{name}.{key} {_short(before[name][key])} -> {_short(value)}" for key, value in after[name].items()
                  if key in before[name] and before[name][key] != value]
    return lines


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _usual(name: str, key: str) -> Value:
    return {**catalog()[name].defaults(), "start": catalog()[name].opens, "stop": 1.0}[key]


def _moved(value: Value, domain: Domain, rng: random.Random) -> Value:
    """Return a value near another, or one from anywhere; never the same where there is another."""
    if isinstance(domain, Choice):
        others = [option for option in domain.options if option != value]
        return rng.choice(others) if others else value
    for _ in range(TRIES):
        moved = _anywhere(domain, rng) if rng.random() < FAR else _near(value, domain, rng)
        if moved != value:
            return moved
    return value


def _near(value: Value, domain: Domain, rng: random.Random) -> Value:
    """Return a value near another; what would lie beyond an end is mirrored at it."""
    assert isinstance(domain, (Float, Int))
    low = float(domain.low)
    high = float(domain.high)
    here = float(nearest(value, domain))
    if domain.log:
        low = math.log(low)
        high = math.log(high)
        here = math.log(here)
    there = here + rng.gauss(0, NEAR) * (high - low)
    if there < low:
        there = 2 * low - there
    if there > high:
        there = 2 * high - there
    there = min(max(there, low), high)
    there = math.exp(there) if domain.log else there
    return nearest(round(there) if isinstance(domain, Int) else there, domain)


def _anywhere(domain: Domain, rng: random.Random) -> Value:
    """Return any value of a domain, evenly, in the logarithm where it says so."""
    if isinstance(domain, Choice):
        return rng.choice(domain.options)
    assert isinstance(domain, (Float, Int))
    low = float(domain.low)
    high = float(domain.high)
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if domain.log else rng.uniform(low, high)
    return nearest(round(value) if isinstance(domain, Int) else value, domain)

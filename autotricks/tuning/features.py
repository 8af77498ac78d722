"""Bundles as vectors: what a model of effects sees of the tricks, their parameters and their windows."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.bundle import Bundle
from ..core.domain import Choice, Float, Int, Value
from ..core.slots import Slot
from ..core.trick import Trick
from ..space.space import MODEL
from ..tricks.catalog import catalog

Wish = Mapping[str, Mapping[str, Value]]
Vector = NDArray[Any]
CROWD = "crowd"
MODEL_KEY, _, MODEL_WORD = MODEL.partition(".")
FEW = 4     # the column of many tricks, and how many are a few
KEPT = 20_000               # tricks with values whose columns are remembered
EPOCHS = 0.2    # the fraction of training that counts as a long time, for parameters in epochs


def wish_of(bundle: Bundle, models: Sequence[str] = ()) -> dict[str, dict[str, Value]]:
    """Return a bundle's tricks with all their values, the window's edges among them; and its model, where of several.

    Args:
        bundle: Whose.
        models: That a space leaves a choice of.
    """
    wish = {use.trick.name: {**use.trick.values(), "start": use.window.start, "stop": use.window.stop}
            for use in bundle.uses if not use.window.empty}
    return {MODEL_KEY: {MODEL_WORD: bundle.model}, **wish} if len(models) > 1 else wish


class Features:
    """Maps bundles to vectors with one column for each thing that may be chosen.

    A trick has a column that is 1 where it is used, one each for how much later it opens and how much earlier it
    closes than unasked, and for each parameter either two, its distance from the default (2 is the width of the trick's
    own search domain) and the square of that, or one for each word that is not the default. One more column, `crowd`,
    grows with the square of how many tricks there are beyond a few.

    Args:
        tricks: Names of the tricks that bundles may hold; others are not seen.
        epochs: Of one training, which parameters in epochs are fractions of.
        models: That bundles may have; each but the first has a column.
    """

    def __init__(self, tricks: Sequence[str], epochs: int, models: Sequence[str] = ()):
        self.epochs = epochs
        self._known = frozenset(tricks)
        self._counted = frozenset(name for name in tricks if Slot.RUNTIME not in catalog()[name].seats)
        self.names = (CROWD, *(name for trick in sorted(self._known) for name in _columns(catalog()[trick])),
                      *(f"{MODEL}={model}" for model in models[1:]))
        self._kept: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
        self._index = {name: index for index, name in enumerate(self.names)}

    def vector(self, wish: Wish) -> Vector:
        """Return one bundle as a vector [D]."""
        vector = np.zeros(len(self.names))
        for name, values in wish.items():
            if name not in self._known:
                continue
            for where, value in self._cells(name, values):
                vector[where] = value
        if MODEL_KEY in wish:
            model = self._index.get(f"{MODEL}={wish[MODEL_KEY][MODEL_WORD]}")   # the first has no column
            vector[model or 0] = 1.0
        vector[0] = (max(0, sum(name in self._counted for name in wish) - FEW) / FEW) ** 2
        return vector

    def matrix(self, wishes: Sequence[Wish]) -> Vector:
        """Return bundles as rows [N, D]."""
        return np.array([self.vector(wish) for wish in wishes]).reshape(len(wishes), len(self.names))

    def _cells(self, name: str, values: Mapping[str, Value]) -> list[tuple[int, float]]:
        """Return the columns, by position, that a trick with these values fills."""
        key = (name, *values.items())
        cells = self._kept.get(key)
        if cells is None:
            parts = [(name, 1.0), *self._parts(name, values)]
            # a path has no column
            cells = [(self._index[column], value) for column, value in parts if column in self._index]
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = cells
        return cells

    def _parts(self, name: str, values: Mapping[str, Value]) -> Iterator[tuple[str, float]]:
        trick = catalog()[name]
        for key, value in values.items():
            if key == "start":
                yield f"{name}.start", float(value) - trick.opens
            elif key == "stop":
                yield f"{name}.stop", float(value) - 1.0
            elif isinstance(value, (bool, str)):
                if value != trick.defaults()[key]:
                    yield f"{name}.{key}={value}", 1.0
            else:
                moved = _inside(name, key, float(value), self.epochs) - _usual(name, key, self.epochs)
                yield f"{name}.{key}", moved
                yield f"{name}.{key}^2", moved * moved


def _columns(trick: type[Trick]) -> Iterator[str]:
    yield trick.name
    yield f"{trick.name}.start"
    yield f"{trick.name}.stop"
    for name, parameter in trick.declared().items():
        default = trick.defaults()[name]
        if isinstance(default, (bool, str)):
            options = parameter.search.options if isinstance(parameter.search, Choice) else ()
            yield from (f"{trick.name}.{name}={option}" for option in options if option != default)
        else:
            yield f"{trick.name}.{name}"
            yield f"{trick.name}.{name}^2"


@lru_cache(maxsize=4096)
def _usual(trick: str, name: str, epochs: int) -> float:
    """Return where a parameter's default lies; one in epochs counts from none at all."""
    if catalog()[trick].declared()[name].unit == "epochs":
        return -1.0
    return _inside(trick, name, float(catalog()[trick].defaults()[name]), epochs)


@lru_cache(maxsize=65536)
def _inside(trick: str, name: str, value: float, epochs: int) -> float:
    """Return where a number lies in the trick's own domain, -1 to 1; a little outside is allowed."""
    parameter = catalog()[trick].declared()[name]
    domain = parameter.search
    if parameter.unit == "epochs":
        return min(2 * value / (EPOCHS * epochs) - 1, 2.0)
    if isinstance(domain, Choice):
        return _among([float(option) for option in domain.options], value)
    assert isinstance(domain, (Float, Int))
    low = float(domain.low)
    high = float(domain.high)
    if domain.log:
        value = math.log(max(value, low * 1e-3))
        low = math.log(low)
        high = math.log(high)
    return max(-2.0, min(2 * (value - low) / (high - low) - 1, 2.0)) if high > low else 0.0


def _among(options: list[float], value: float) -> float:
    """Return the rank of a number among options, between neighbors where it is none of them."""
    ordered = sorted(options)
    if len(ordered) == 1:
        return 0.0
    return float(np.interp(value, ordered, np.linspace(-1.0, 1.0, len(ordered))))

"""Window, Use, Bundle: what one training run is made of, with a canonical form and a short hash."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..errors import BundleError
from .domain import Between, Float, Parameter, Text
from .trick import Trick


@dataclass(frozen=True, order=True)
class Window:
    """`[start, stop)`, the fractions of training in which a trick is active."""

    start: float = 0.0
    stop: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.stop <= 1:
            raise BundleError(f"window [{self.start:g}, {self.stop:g}): start and stop must be fractions of "
                              "training with 0 <= start <= stop <= 1.")

    @property
    def empty(self) -> bool:
        """Whether the trick is never active."""
        return self.start == self.stop

    @property
    def whole(self) -> bool:
        """Whether the trick is active from the first step to the last."""
        return self.start == 0 and self.stop == 1

    def overlaps(self, other: Window) -> bool:
        """Return whether both windows share a moment of training."""
        return max(self.start, other.start) < min(self.stop, other.stop)

    def __str__(self) -> str:
        return f"{self.start:.0%} to {self.stop:.0%}"


EDGES = {       # of a window, as parameters that every trick with one has
    "start": Parameter(0.0, Float(0, 1), Between(0, 1), "fraction of training"),
    "stop": Parameter(1.0, Float(0, 1), Between(0, 1), "fraction of training")}


def window_of(trick: type[Trick], values: Mapping[str, Any]) -> Window:
    """Return the window that `start` and `stop` among the values say, else the trick's own; at least an empty one."""
    start = float(values.get("start", trick.opens))
    return Window(start, max(start, float(values.get("stop", 1.0))))


@dataclass(frozen=True)
class Use:
    """A trick and its window; without one it is active from where the trick `opens` to the end."""

    trick: Trick
    window: Window = None  # type: ignore[assignment]  # never None once it is made

    def __post_init__(self) -> None:
        if self.window is None:
            object.__setattr__(self, "window", window_of(type(self.trick), {}))

    def document(self) -> dict[str, Any]:
        """Return the parameters, and the window's edges where they are not what they would be unsaid."""
        unsaid = window_of(type(self.trick), {})
        edges = {name: getattr(self.window, name) for name in ("start", "stop")
                 if getattr(self.window, name) != getattr(unsaid, name)}
        return {**self.trick.values(), **edges}

    def __str__(self) -> str:
        return self.trick.name + ("" if self.window.whole else f" [{self.window.start:g}, {self.window.stop:g})")


@dataclass(frozen=True)
class Bundle:
    """The uses of one training run with model, epochs, batch size and seed: what a trial trains and is exported.

    Args:
        uses: Tricks with windows, in any order; the bundle sorts them by name.
        model: A model by name, see `autotricks.models.build`.
        epochs: Passes over the training split, >= 1.
        batch_size: Images a step, over all devices, >= 1.
        seed: Seed of initialization, sampling and augmentation.
    """

    uses: tuple[Use, ...] = ()
    model: str = "resnet8"
    epochs: int = 27
    batch_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [f"training.{name}: {value!r} is not allowed; {name} must be a whole number >= 1."
                    for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size))
                    if not isinstance(value, int) or value < 1]
        if problems:
            raise BundleError(problems)
        object.__setattr__(self, "uses", tuple(sorted(self.uses, key=lambda use: (use.trick.name, use.window))))

    def document(self) -> dict[str, Any]:
        """Return the bundle as plain data: what a bundle file holds and what the hash is taken of."""
        tricks: dict[str, Any] = {}
        for use in self.uses:
            if use.trick.name in tricks:
                raise BundleError(f"{use.trick.name} is used twice; a bundle file holds each trick once.")
            tricks[use.trick.name] = use.document()
        return {"model": {"name": self.model}, "tricks": tricks,
                "training": {"epochs": self.epochs, "batch_size": self.batch_size, "seed": self.seed}}

    @cached_property
    def weights(self) -> str:
        """What it begins with: `default`, the model's published weights, or a file; empty for weights at random."""
        return next((str(use.trick.values()[name]) for use in self.uses
                     for name, parameter in use.trick.declared().items()
                     if isinstance(parameter.legal, Text) and parameter.legal.place == "weights"), "")

    @cached_property
    def hash(self) -> str:
        """The first twelve hexadecimal digits of the SHA-256 of the canonical JSON form."""
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def rescaled(self, epochs: int) -> Bundle:
        """Return the whole bundle in fewer (or more) epochs: every parameter counted in epochs is scaled with it.

        Windows and schedules are fractions of training and need no change.
        """
        if epochs == self.epochs:
            return self
        ratio = epochs / self.epochs
        return replace(self, epochs=epochs, uses=tuple(
            replace(use, trick=_scaled(use.trick, ratio)) for use in self.uses))

    def names(self) -> tuple[str, ...]:
        """Return the tricks' names, sorted."""
        return tuple(use.trick.name for use in self.uses)

    def __str__(self) -> str:
        return " + ".join(str(use) for use in self.uses) or "no tricks"


SEEDS = 2 ** 32     # a seed is below that


def recipe(bundle: Bundle) -> str:
    """Return what all trainings of one bundle share, whatever their seeds: the hash with seed 0."""
    return replace(bundle, seed=0).hash


def _scaled(trick: Trick, ratio: float) -> Trick:
    changed: Mapping[str, Any] = {name: getattr(trick, name) * ratio for name, parameter in trick.declared().items()
                                  if parameter.unit == "epochs"}
    return replace(trick, **changed) if changed else trick  # type: ignore[type-var]

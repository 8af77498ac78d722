"""Trick: one training technique with its parameters."""
from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from ..errors import BundleError
from .domain import Choice, Parameter, Text, Value, tunable
from .slots import Slot
from .traits import DataTrait, Trait

if TYPE_CHECKING:
    from .run import Run

RESERVED = frozenset({"start", "stop", "always", "name", "seats", "requires", "provides", "excludes", "requires_data",
                      "excludes_data", "advice", "opens", "reads_features", "unfreezes"})


@dataclass(frozen=True)
class Advice:
    """What the literature found harmful, not impossible: this trick beside one, or beside data, that brings `trait`.

    Args:
        trait: Of the other trick, or of the data.
        reason: What happens then.
        source: Who found it.
        early: Whether it holds only for a window that opens with training.
    """

    trait: Trait | DataTrait
    reason: str
    source: str
    early: bool = False


@dataclass_transform(frozen_default=True, field_specifiers=(tunable,))
class Trick:
    """One technique: typed, frozen, cited. Write one method for each slot named in `seats`.

    A slot method takes what the slot wraps so far and the run, and returns the same kind of thing: `loss(self,
    inner, run) -> Loss`. Nothing is mutated and restored; state lives in modules, optimizers and averages alone.

    Raises:
        TypeError: At import, when seats and methods disagree or a parameter is not declared with `tunable`.
        BundleError: When a value is outside its legal range.
    """

    seats: ClassVar[Mapping[Slot, str]] = {}
    requires: ClassVar[frozenset[Trait]] = frozenset()
    provides: ClassVar[frozenset[Trait]] = frozenset()
    excludes: ClassVar[frozenset[Trait]] = frozenset()
    requires_data: ClassVar[frozenset[DataTrait]] = frozenset()
    excludes_data: ClassVar[frozenset[DataTrait]] = frozenset()
    advice: ClassVar[tuple[Advice, ...]] = ()
    opens: ClassVar[float] = 0.0                # where its window opens unless told: > 0 for what needs a first stage
    reads_features: ClassVar[bool] = False      # whether its loss reads `batch.features`
    unfreezes: ClassVar[bool] = False           # whether which weights it trains changes inside its window
    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
        dataclass(frozen=True)(cls)
        _check_declaration(cls)

    def __post_init__(self) -> None:
        problems = self.problems(self.values())
        if problems:
            raise BundleError(f"{self.name}.{line}" for line in problems)

    @classmethod
    @cache
    def declared(cls) -> Mapping[str, Parameter]:
        """Return the declared parameters by name."""
        parameters = {field.name: field.metadata["parameter"] for field in fields(cls)}  # type: ignore[arg-type]
        return MappingProxyType(parameters)

    @classmethod
    @cache
    def defaults(cls) -> Mapping[str, Value]:
        """Return the default of each parameter."""
        return MappingProxyType({name: parameter.default for name, parameter in cls.declared().items()})

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> list[str]:
        """Return one line for each value that is of the wrong type or outside its legal range."""
        lines = ((name, cls.declared()[name].problem(name, value)) for name, value in values.items())
        return [f"{name}: {line}" for name, line in lines if line]

    def values(self) -> dict[str, Value]:
        """Return the value of each parameter."""
        return {name: getattr(self, name) for name in self.declared()}

    def check(self, run: Run) -> None:
        """Refuse, before the first step, a model that the trick cannot work with when its window opens."""

    def enter(self, run: Run) -> None:
        """Act when the trick's window opens."""

    def leave(self, run: Run) -> None:
        """Act when the trick's window closes."""


def _check_declaration(cls: type[Trick]) -> None:
    """Hold seats, methods and parameters of a new trick against each other."""
    for slot, seat in cls.seats.items():
        slot.seat(seat)
    written = {slot for slot in Slot if slot.value in vars(cls)}
    if written != set(cls.seats):
        raise TypeError(f"{cls.__name__}: seats name {sorted(s.value for s in cls.seats)}, "
                        f"methods are written for {sorted(s.value for s in written)}")
    for field in fields(cls):  # type: ignore[arg-type]
        if "parameter" not in field.metadata or field.name in RESERVED:
            raise TypeError(f"{cls.__name__}.{field.name}: declare it with tunable() under a name not reserved")
        problems = cls.problems({field.name: field.default})
        legal = field.metadata["parameter"].legal
        if problems or (isinstance(field.default, str) and not isinstance(legal, (Choice, Text))):
            raise TypeError(f"{cls.__name__}: its own default is not legal: {problems}")

"""Domains to search, legal ranges, and `tunable`, which declares both beside a trick's parameter."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

Value = bool | int | float | str


class Domain(Protocol):
    """A set of values to search."""

    def __contains__(self, value: object) -> bool: ...


class Legal(Protocol):
    """A range of values that make sense at all."""

    def __contains__(self, value: object) -> bool: ...


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Float:
    """Real numbers from `low` to `high`, both included; `step` makes a grid, `log` samples the logarithm."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __contains__(self, value: object) -> bool:
        return _number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (", log" if self.log else "") + (
            f", step {self.step:g}" if self.step else "")


@dataclass(frozen=True)
class Int:
    """Whole numbers from `low` to `high`, both included."""

    low: int
    high: int
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return _number(value) and value == int(value) and self.low <= value <= self.high  # type: ignore

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, whole" + (", log" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    options: tuple[Value, ...]

    def __init__(self, *options: Value):
        object.__setattr__(self, "options", options)

    def __contains__(self, value: object) -> bool:
        return any(value == option and isinstance(value, bool) == isinstance(option, bool) for option in self.options)

    def __str__(self) -> str:
        return " or ".join(f"{option:.6g}" if isinstance(option, float) and not option.is_integer() else str(option)
                           for option in self.options)


def nearest(value: Value, domain: Domain) -> Value:
    """Return the value of a domain that is nearest to a value; where nearness means nothing, the first option."""
    if value in domain and not (isinstance(domain, Float) and domain.step):
        return value
    if isinstance(domain, Choice):
        numbers = [option for option in domain.options if _number(option)]
        if not numbers or not _number(value):
            return domain.options[0]
        return min(numbers, key=lambda option: abs(float(option) - float(value)))
    assert isinstance(domain, (Float, Int))
    inside = min(max(float(value), domain.low), domain.high)
    if isinstance(domain, Int):
        return round(inside)
    if domain.step:
        return min(domain.low + round((inside - domain.low) / domain.step) * domain.step, domain.high)
    return inside


@dataclass(frozen=True)
class Above:
    """Finite numbers greater than `low`."""

    low: float

    def __contains__(self, value: object) -> bool:
        return _number(value) and value > self.low  # type: ignore[operator]

    def __str__(self) -> str:
        return f"> {self.low:g}"


@dataclass(frozen=True)
class Between:
    """Numbers from `low` to `high`; the ends count unless they are named in `without`."""

    low: float
    high: float
    without: tuple[float, ...] = ()

    def __contains__(self, value: object) -> bool:
        return _number(value) and self.low <= value <= self.high and value not in self.without  # type: ignore[operator]

    def __str__(self) -> str:
        left = ">" if self.low in self.without else ">="
        right = "<" if self.high in self.without else "<="
        upper = "" if math.isinf(self.high) else f" and {right} {self.high:g}"
        return f"{left} {self.low:g}{upper}"


@dataclass(frozen=True)
class Text:
    """Any words; `what` says what they name.

    Args:
        what: In words.
        place: Whether they name a file of `weights`, one with a `table`, or a trained `bundle`: a path, which is made
            absolute where a file of tricks is read, or `models:/...`; empty for none.
    """

    what: str
    place: str = ""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and "\0" not in value     # which no path can hold

    def __str__(self) -> str:
        return self.what


def at_least(low: float) -> Between:
    """Finite numbers not less than `low`."""
    return Between(low, math.inf)


@dataclass(frozen=True)
class Parameter:
    """What `tunable` declares: default, search domain, legal range, unit."""

    default: Value
    search: Domain
    legal: Legal
    unit: str

    def problem(self, name: str, value: object) -> str | None:
        """Return what is wrong with a value of the parameter of this name: its type, or that it is not legal."""
        if not self._fits(value):
            kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}[type(self.default)]
            return f"{value!r} is not {kind}; {name} must be {self.legal}."
        if value not in self.legal:
            unit = f" ({self.unit})" if self.unit else ""
            return f"{value!r} is not allowed; {name} must be {self.legal}{unit}."
        return None

    def _fits(self, value: object) -> bool:
        default = self.default
        if isinstance(default, bool) or isinstance(value, bool):
            return isinstance(value, bool) and isinstance(default, bool)
        if isinstance(default, str):
            return isinstance(value, str)
        return isinstance(value, (int, float)) and (isinstance(default, float) or float(value).is_integer())


def tunable(default: Value, *, search: Domain, legal: Legal | None = None, unit: str = "") -> Any:
    """Declare a parameter of a trick: its default, what to search, what is legal at all, and its unit.

    Args:
        default: Value when nothing is said; its type is the parameter's type.
        search: Domain that `{}` in a space file searches.
        legal: Values that make sense; the search domain if left out.
        unit: What is counted, e.g. "epochs"; parameters in epochs shrink with a shorter training run.
    """
    parameter = Parameter(default, search, legal if legal is not None else search, unit)
    return field(default=default, metadata={"parameter": parameter})

"""Places: values that name a file, a folder or a registered model, which every process must find."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.bundle import Bundle, Use
from ..core.domain import Choice, Text
from ..core.weights import DEFAULT
from ..tricks.catalog import catalog
from .space import Entry

REGISTERED = "models:/"
Change = Callable[[str], str]


def kind(trick: str, parameter: str) -> str:
    """Return what a trick's parameter names: `weights`, a `table`, a `bundle`; nothing for what is no place."""
    declared = catalog()[trick].declared() if trick in catalog() else {}
    legal = declared[parameter].legal if parameter in declared else None
    return legal.place if isinstance(legal, Text) else ""


def absolute(location: str) -> str:
    """Return a path as seen from any folder, taken from the working directory.

    `models:/...`, the `default` weights of a model, and nothing stay.
    """
    if location in ("", DEFAULT) or location.startswith(REGISTERED):
        return location
    return str(Path(location).expanduser().absolute())


def changed(tricks: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return the tricks of a file with every place in them changed, those in lists of a domain too."""
    def of_trick(trick: str, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {name: _changed(value, change) if kind(trick, name) else value for name, value in values.items()}
    return {trick: of_trick(trick, values) for trick, values in tricks.items()}


def _changed(value: Any, change: Change) -> Any:
    if isinstance(value, str) and value != "search":
        return change(value)
    if isinstance(value, Mapping):
        return {word: [_changed(option, change) for option in given] if isinstance(given, list) else given
                for word, given in value.items()}
    return value


def moved(use: Use, change: Change) -> Use:
    """Return a use with every place in it changed."""
    values: dict[str, Any] = {name: change(str(value)) for name, value in use.trick.values().items()
                              if kind(use.trick.name, name)}
    return replace(use, trick=replace(use.trick, **values)) if values else use  # type: ignore[type-var]


def moved_bundle(bundle: Bundle, change: Change) -> Bundle:
    """Return a bundle with every place in it changed."""
    return replace(bundle, uses=tuple(moved(use, change) for use in bundle.uses))


def moved_entry(entry: Entry, change: Change) -> Entry:
    """Return an entry with every place among its values and choices changed."""
    fixed = {name: change(str(value)) if kind(entry.name, name) else value for name, value in entry.fixed.items()}
    domains = {name: Choice(*(change(str(option)) for option in domain.options))
               if isinstance(domain, Choice) and kind(entry.name, name) else domain
               for name, domain in entry.domains.items()}
    return replace(entry, fixed=fixed, domains=domains)


def named(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield (parameter, location) for each place that an entry names."""
    for name, value in entry.fixed.items():
        if kind(entry.name, name) and value not in ("", DEFAULT):
            yield name, str(value)
    for name, domain in entry.domains.items():
        for option in domain.options if isinstance(domain, Choice) and kind(entry.name, name) else ():
            if option not in ("", DEFAULT):
                yield name, str(option)

"""Fitting a space to data: leave out what the literature advises against on data of this kind."""
from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from ..core.domain import Choice, Float
from ..core.traits import DataTrait
from .space import Entry, Space


def fitted(space: Space, of_data: Container[DataTrait]) -> Space:
    """Return the space without what is not advised beside data that bring these traits, where it avoids that.

    What is advised against from the start alone may begin later still, where the space lets it. What is always there
    stays.
    """
    if not space.avoid:
        return space
    fits = [(entry, _narrowed(entry, of_data)) for entry in space.entries]
    return replace(space, entries=tuple(fit or entry for entry, fit in fits if fit or entry.always))


def _narrowed(entry: Entry, of_data: Container[DataTrait]) -> Entry | None:
    """Return what is left of an entry; None if nothing is."""
    advice = [word for word in entry.trick.advice if word.trait in of_data]
    if not advice or entry.widest().window.start > 0:
        return entry
    domain = entry.domains.get("start")
    if not all(word.early for word in advice) or domain is None:
        return None
    if isinstance(domain, Choice):
        later = tuple(option for option in domain.options if float(option) > 0)
        return replace(entry, domains={**entry.domains, "start": Choice(*later)}) if later else None
    if isinstance(domain, Float) and domain.step:
        return replace(entry, domains={**entry.domains, "start": replace(domain, low=domain.step)})
    return entry

"""Runtime: the tricks that carry out every trial's steps in the precision and layout that `training` names."""
from __future__ import annotations

from dataclasses import replace

from ..core.bundle import Bundle, Use
from ..core.plan import problems
from ..tricks.catalog import make
from .space import Entry, Space, clash

LAYOUTS = {"nchw": False, "nhwc": True}


def uses(precision: str, layout: str) -> tuple[Use, ...]:
    """Return the tricks for a precision and a layout; `auto` and `fp32` need none."""
    return (*([make(precision, {})] if precision not in ("auto", "fp32") else []),
            *([make("channels_last", {"on": LAYOUTS[layout]})] if layout in LAYOUTS else []))


def settled(space: Space, precision: str, layout: str) -> Space:
    """Return the space with these tricks always there."""
    added = tuple(Entry(type(use.trick), use.trick.values(), {}, always=True) for use in uses(precision, layout))
    return replace(space, entries=(*space.entries, *added))


def quarrels(space: Space, precision: str, layout: str) -> dict[str, str]:
    """Return, by key of `training`, why it cannot be settled there: a trick of the space settles it too."""
    reasons = {}
    for use in uses(precision, layout):
        key = "precision" if use.trick.name == precision else "layout"
        rivals = [entry.name for entry in space.entries
                  if entry.name == use.trick.name or clash(entry.widest(), use, False)]
        if rivals:
            reasons[key] = f"tricks.{rivals[0]} settles the {key} too. Drop one of the two."
    return reasons


def in_bundle(bundle: Bundle, precision: str, layout: str) -> Bundle:
    """Return a bundle with these tricks, as far as it has none of their kind."""
    added = tuple(use for use in uses(precision, layout)
                  if use.trick.name not in bundle.names() and not problems([*bundle.uses, use]))
    return replace(bundle, uses=(*bundle.uses, *added))

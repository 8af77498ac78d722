"""Compiled steps: `training.compile` has every trial's steps run a compiled model, wherever its tricks leave room."""
from __future__ import annotations

from dataclasses import replace

from ..core.bundle import Use
from ..core.slots import Slot
from ..tricks.catalog import make
from .space import Entry, Space, clash


def compiling() -> Use:
    """Return the trick that compiles."""
    return make("torch_compile", {})


def compiles(use: Use) -> bool:
    """Return whether a use compiles the model."""
    return use.trick.seats.get(Slot.RUNTIME) == "compile"


def settled(space: Space) -> Space:
    """Return the space with compiled steps wherever what a bundle holds leaves room for them."""
    return replace(space, entries=(*space.entries, Entry(type(compiling().trick), {}, {}, always=True, yields=True)))


def quarrel(space: Space) -> str:
    """Return why `training.compile` cannot settle it: the space's tricks do, or leave no room ever; else nothing."""
    use = compiling()
    for entry in space.entries:
        if compiles(entry.widest()):
            return f"tricks.{entry.name} settles it too. Drop one of the two."
        if entry.always and clash(entry.widest(), use, False):
            return f"no model is compiled beside tricks.{entry.name}, which is always there. Drop one of the two."
    return ""

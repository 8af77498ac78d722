"""Which of the spaces that ship suits a data set: each says in `fits` what it is made for."""
from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .load import load_space, shipped
from .sections import Bound, FitsSection

MEASURES = {"imbalance": "imbalance", "images": "training images", "per_class": "training images a class",
            "side": "pixels on the shorter side"}


@dataclass(frozen=True)
class Suited:
    """A space that ships and whether it is made for the data.

    Args:
        space: Its file's name.
        fits: Whether every bound that it states holds.
        why: Each bound beside the value found; of a space that does not fit, those that do not hold.
        long_tail: Whether it makes a long tail of balanced data by itself.
    """

    space: str
    fits: bool
    why: tuple[str, ...]
    long_tail: bool


def compare(facts: Mapping[str, Any]) -> list[Suited]:
    """Return the spaces of the data's task that say what they are made for: those that fit first, the most particular
    of them first.

    Args:
        facts: From `data.survey`.
    """
    values = {"imbalance": facts["imbalance"], "images": facts["split_images"].get("train", 0),
              "per_class": facts["per_class"], "side": facts["side"]}
    suited = []
    for path in shipped():
        document = load_space(path).document
        if document.fits is not None and document.data.task == facts["task"] and None not in values.values():
            fits, why = judged(document.fits, values)
            suited.append(Suited(path.name, fits, why, document.data.imbalance is not None))
    return sorted(suited, key=lambda one: (not one.fits, -len(one.why) if one.fits else len(one.why)))


def judged(section: FitsSection, values: Mapping[str, float]) -> tuple[bool, tuple[str, ...]]:
    """Return whether all bounds of a section hold, and those that hold, or those that do not."""
    held: dict[bool, list[str]] = {True: [], False: []}
    for name, words in MEASURES.items():
        bound: Bound = getattr(section, name)
        if bound != Bound():
            inside = (bound.min is None or values[name] >= bound.min) and (bound.max is None
                                                                          or values[name] <= bound.max)
            held[inside].append(f"{words} {_number_text(values[name])}, made for {_range(bound)}")
    return not held[False], tuple(held[not held[False]])


def init_command(facts: Mapping[str, Any], overrides: Sequence[str], more: Sequence[str]) -> str:
    """Return what to type for a space made for the data; `overrides`, and `more` after them, are said again."""
    return shlex.join(["autotricks", "init", facts["source"], *_set(overrides), *more])


def command(facts: Mapping[str, Any], space: Suited, overrides: Sequence[str] = (), more: Sequence[str] = ()) -> str:
    """Return what to type to search a space on the data; `overrides`, and `more` after them, are said again."""
    given = {text.partition("=")[0] for text in overrides}
    brought = [f"data.{key}={facts[key]}" for key in ("size", "fit") if facts[key] is not None]
    proposed = brought * ("data.size" not in given) + ["data.imbalance=null"] * space.long_tail
    values = [*overrides, *(text for text in proposed if text.partition("=")[0] not in given)]
    return shlex.join(["autotricks", "search", "--space", space.space, "--data", facts["source"], *_set(values), *more])


def _set(values: Sequence[str]) -> list[str]:
    return [word for text in values for word in ("--set", text)]


def _range(bound: Bound) -> str:
    least, most = ("" if value is None else _number_text(value) for value in (bound.min, bound.max))
    if least and most:
        return f"{least} to {most}"
    return f"{least} and more" if least else f"up to {most}"


def _number_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"

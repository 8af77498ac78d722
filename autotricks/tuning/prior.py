"""Prior: what is known of tricks before a search begins, learned from TrickBench's trainings on other data."""
from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ..core.bundle import Bundle
from ..errors import BundleError, InputError
from ..space.models import TRICK, WEIGHTS
from ..space.space import MODEL
from ..tricks.catalog import bundle_from
from .features import Features, Vector

SHIPPED = "shipped"
NONE = "none"
FLAT_SD = 0.2           # of a column that nothing is known of, in logits
ALLOWED = f"Write {SHIPPED}, {NONE}, or the path of a file that benchmarks/trickbench/fit.py wrote."
DECIDE = (f"{MODEL}=", f"{TRICK}.{WEIGHTS}=")       # columns of what matters more than any trick: the model, its start
DECIDE_SD = 1.0
UNKNOWN_MEAN = -0.03    # a trick that nothing is known of rather harms than helps: most do


@dataclass(frozen=True)
class Curve:
    """What a score after a fraction of training tells of the final one.

    `early = the set's own constant + slope * final + gains of the bundle's columns + noise`, all in logits.

    Args:
        slope: By which early scores differ where final ones do by 1.
        sd: Of the noise.
        rise: The constant in the mean over the sets.
        gains: Of columns.
    """

    slope: float
    sd: float
    rise: float
    gains: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prior:
    """Effects of tricks in logits of accuracy, with their spread over data sets.

    Args:
        effects: Mean and standard deviation over data sets of each column of `Features`.
        residual: Standard deviation of what a bundle is beside the sum of its effects.
        length: Distance between bundles' vectors within which that is much alike.
        noise: Standard deviation of a score over seeds and validation images.
        curves: By fraction of training, rising.
        steps: Of the trainings that it was learned from; 0 where nobody knows.
        portfolio: Bundles, as bundle files hold them, in the order that brought the best so far up fastest on the data
            that it was learned from: what a search tries first.
    """

    effects: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    residual: float = 0.15
    length: float = 2.0
    noise: float = 0.2
    curves: Mapping[float, Curve] = field(default_factory=dict)
    steps: float = 0.0
    portfolio: tuple[Bundle, ...] = ()

    def trust(self, steps: float) -> float:
        """Return how much of the means to believe for trainings of so many steps, 0 to 1.

        What helps in short trainings need not help in long ones: ten times as long is believed by half.
        """
        if not self.steps or not steps:
            return 1.0
        return 1 / (1 + math.log10(steps / self.steps) ** 2)

    def trusted(self, trust: float) -> Prior:
        """Return the prior with only a part of its means, 0 to 1, believed: what is not believed becomes spread."""
        return replace(self, effects={name: (trust * mean, math.hypot(sd, (1 - trust) * mean))
                                      for name, (mean, sd) in self.effects.items()})

    def columns(self, features: Features) -> tuple[Vector, Vector]:
        """Return mean and variance of each column's effect, [D] and [D]."""
        mean = np.zeros(len(features.names))
        variance = np.full(len(features.names), FLAT_SD ** 2)
        for index, name in enumerate(features.names):
            if name.startswith(DECIDE):
                variance[index] = DECIDE_SD ** 2
            elif name in self.effects:
                mean[index], sd = self.effects[name]
                variance[index] = sd ** 2
            elif self.effects and "." not in name:
                mean[index] = UNKNOWN_MEAN
        return mean, variance

    def curve(self, fraction: float) -> Curve:
        """Return the curve at a fraction of training, between two that are known."""
        known = sorted(self.curves)
        if not known:
            return Curve(1.0, 2 * self.noise * math.sqrt(1 / fraction - 1), 0.0)
        curves = [self.curves[one] for one in known]
        return Curve(float(np.interp(fraction, known, [one.slope for one in curves])),
                     float(np.interp(fraction, known, [one.sd for one in curves])),
                     float(np.interp(fraction, known, [one.rise for one in curves])),
                     {name: float(np.interp(fraction, known, [one.gains.get(name, 0.0) for one in curves]))
                      for name in curves[0].gains})


@cache
def load(name: str, boxes: bool = False) -> Prior:
    """Return a prior: the one that ships, none, or one of a file.

    Args:
        name: `shipped`, `none`, or the path of a file.
        boxes: Whether objects are to be found: what ships for them was learned from such data alone.

    Raises:
        InputError: When the file is no prior.
    """
    if name == NONE:
        return Prior()
    if name == SHIPPED:
        ships = resources.files(__package__).joinpath("box_prior.json" if boxes else "prior.json")
        return _from(json.loads(ships.read_text("utf-8")))
    try:
        text = Path(name).read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"search.prior: {name!r} cannot be read: {why}. {ALLOWED}") from None
    try:
        return _from(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BundleError):
        raise InputError(f"search.prior: {name} is no prior. {ALLOWED}") from None


def _from(table: Any) -> Prior:
    """Return what a file holds; what means nothing raises a ValueError."""
    effects = {name: (_number(mean), _number(sd, above=0)) for name, (mean, sd) in table["effects"].items()}
    curves = {_number(fraction, above=0, below=1): Curve(
        _number(fields["slope"], above=0), _number(fields["sd"], above=0), _number(fields["rise"]),
        {name: _number(gain) for name, gain in fields["gains"].items()})
        for fraction, fields in table["curves"].items()}
    return Prior(effects, _number(table["residual"], above=0), _number(table["length"], above=0),
                 _number(table["noise"], above=0), curves, _number(table["steps"], above=0),
                 tuple(bundle_from(document) for document in table["portfolio"]))


def _number(value: Any, above: float = -math.inf, below: float = math.inf) -> float:
    number = float(value)
    if not above < number < below:
        raise ValueError(value)
    return number

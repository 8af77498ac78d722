"""Plots: scales, axes and marks as SVG, small enough to stand side by side or one under the other."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .html import Html, percent, tag, words

WIDTH = 380
HEIGHT = 264
LEFT = 46
RIGHT = 12
TOP = 26
BOTTOM = 38
MOST = 150      # points of a line


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] to [start, stop], in pixels."""

    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def over(cls, values: Iterable[float], start: float, stop: float, margin: float = 0.05) -> Scale:
        """Return the scale of some values, with a margin on both sides."""
        known = list(values) or [0.0, 1.0]
        low = min(known)
        high = max(known)
        extra = (high - low) * margin or (0.0 if margin == 0 and high > low else abs(high) * 0.05 or 0.5)
        return cls(low - extra, high + extra, start, stop)

    def __call__(self, value: float) -> float:
        """Return where a value lies, to a tenth of a pixel."""
        return round(self.start + self.fraction(value) * (self.stop - self.start), 1)

    def fraction(self, value: float) -> float:
        """Return how far along the scale a value lies, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, about: int = 5) -> list[float]:
        """Return round values in the range."""
        raw = (self.high - self.low) / max(1, about)
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(multiple * step, 10) for multiple in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Panel:
    """A plot's frame and its scales."""

    x: Scale
    y: Scale
    across: str
    metric: str

    @classmethod
    def over(cls, xs: Iterable[float], ys: Iterable[float], across: str, metric: str) -> Panel:
        """Return the frame that holds all points."""
        return cls(Scale.over(xs, LEFT, WIDTH - RIGHT, 0.02), Scale.over(ys, HEIGHT - BOTTOM, TOP), across, metric)

    def drawn(self, title: str, *marks: str | Iterable[str], note: str = "") -> Html:
        """Return the plot with its axes, below its title and above a note."""
        lines = [tag("line", {"class": "grid", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": self.y(at), "y2": self.y(at)})
                 for at in self.y.ticks()]
        labels = [label(LEFT - 6, self.y(at) + 4, tick_label(at, self.metric), "end") for at in self.y.ticks()]
        labels += [label(self.x(at), HEIGHT - BOTTOM + 16, tick_label(at, self.across), "middle")
                   for at in self.x.ticks(6) if percent(self.across) or at == int(at)]
        labels += [label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, self.across, "middle", "axis"),
                   label(LEFT - 38, TOP - 14, words(self.metric), "start", "axis")]
        return tag("figure", None, tag("figcaption", None, title), tag(
            "svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img",
                    "aria-label": f"{title}: {words(self.metric)} against {self.across}"}, lines, labels, *marks),
                   tag("p", {"class": "note"}, note) if note else "")

    def line(self, points: Sequence[tuple[float, float]], kind: str, trial: int | None, tip: str) -> Html:
        """Return a line through points, thinned where there are too many."""
        step = max(1, math.ceil(len(points) / MOST))
        kept = [*points[:-1:step], points[-1]]
        path = " ".join(f"{self.x(across)},{self.y(up)}" for across, up in kept)
        return tag("polyline", {"class": f"line {kind}", "points": path, "data-trial": trial, "data-tip": tip})

    def dot(self, point: tuple[float, float], kind: str, trial: int | None, tip: str) -> Html:
        """Return a dot that carries its value."""
        return tag("circle", {"class": f"dot {kind}", "cx": self.x(point[0]), "cy": self.y(point[1]), "r": 3.5,
                              "data-trial": trial, "data-value": point[1], "data-tip": tip})

    def level(self, value: float, text: str) -> Html:
        """Return a dashed line across the plot with its name."""
        return tag("g", None, tag("line", {"class": "level", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": self.y(value),
                                           "y2": self.y(value)}),
                   label(WIDTH - RIGHT - 2, self.y(value) - 4, text, "end", "note"))


def label(x: float, y: float, text: str, anchor: str = "start", kind: str = "tick") -> Html:
    """Return text in a plot."""
    return tag("text", {"class": kind, "x": round(x, 1), "y": round(y, 1), "text-anchor": anchor}, text)


def tick_label(value: float, metric: str) -> str:
    """Return a tick's label."""
    return f"{round(100 * value, 6):g}%" if percent(metric) else f"{value:g}"


def legend(*entries: tuple[str, str]) -> Html:
    """Return a legend of (kind, name)."""
    return tag("p", {"class": "legend"}, [tag("span", None, tag("i", {"class": f"swatch {kind}"}), name)
                                          for kind, name in entries])

"""Row charts: a label, a track with marks at their share of its width, and the value; they fit any screen."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .html import Html, joined, tag
from .plot import Scale, tick_label


@dataclass(frozen=True)
class Track:
    """The common scale of some rows, in percent of a track's width."""

    scale: Scale
    metric: str

    @classmethod
    def over(cls, values: Iterable[float], metric: str, margin: float = 0.06) -> Track:
        """Return the track that holds all values."""
        return cls(Scale.over(values, 0, 100, margin), metric)

    def dot(self, value: float, kind: str, tip: str) -> Html:
        """Return a dot."""
        return tag("i", {"class": f"mark {kind}", "style": f"left:{self.scale(value)}%", "data-value": value,
                         "data-tip": tip})

    def span(self, low: float, high: float, kind: str) -> Html:
        """Return a bar from one value to another, cut at the ends of the track."""
        start, stop = (min(100.0, max(0.0, self.scale(value))) for value in sorted((low, high)))
        return tag("i", {"class": f"span {kind}", "style": f"left:{start}%;width:{round(stop - start, 1)}%"})

    def rule(self, value: float, kind: str = "zero") -> Html:
        """Return a vertical line."""
        return tag("i", {"class": f"rule {kind}", "style": f"left:{self.scale(value)}%"})

    def axis(self, offset: bool = False) -> Html:
        """Return the row of ticks; `offset` writes them as differences."""
        def text(at: float) -> str:
            if not offset:
                return tick_label(at, self.metric)
            sign = "+" if at > 0 else ""
            return sign + tick_label(at, self.metric).rstrip("%")
        ticks = [tag("i", {"style": f"left:{self.scale(at)}%"}, text(at).replace("-", "\N{MINUS SIGN}"))
                 for at in self.scale.ticks(6 if offset else 4)]
        return row("", ticks, "", "ticks")


def row(name: str, marks: Iterable[str], value: str = "", kind: str = "") -> Html:
    """Return one row."""
    return tag("div", {"class": f"row {kind}"}, tag("span", {"class": "name"}, name),
               tag("span", {"class": "track"}, *marks), tag("span", {"class": "value"}, value))


def chart(rows: Sequence[str], kind: str = "") -> Html:
    """Return rows as a chart."""
    return tag("div", {"class": f"rows {kind}"}, joined(*rows))

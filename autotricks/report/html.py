"""HTML from Python: what is not markup already is escaped, so that no name of a class or file becomes code."""
from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from html import escape, unescape

from ..core.objective import SPEED
from ..tasks import metric as metric_of

Attributes = Mapping[str, str | float | None]
VOID = frozenset({"meta", "circle", "line", "polyline", "wbr", "rect", "image"})
OF_CLASSES = ("recall", "precision", "f1")       # figures of each class, which people read as percent


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def tag(name: str, attributes: Attributes | None = None, *children: str | Iterable[str]) -> Html:
    """Return an element; attributes and children that are no `Html` are escaped, attributes of None left out.

    Args:
        name: Of the element.
        attributes: By name.
        children: Texts, elements, or iterables of them.
    """
    given = "".join(f' {key}="{escape(_plain(value))}"' for key, value in (attributes or {}).items()
                    if value is not None)
    return Html(f"<{name}{given} />" if name in VOID else f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str | Iterable[str]) -> Html:
    """Return children one after the other."""
    return Html("".join(map(_written, children)))


def _written(child: str | Iterable[str]) -> str:
    if isinstance(child, Html):
        return child
    return escape(child) if isinstance(child, str) else joined(*child)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "", numeric: Collection[int] = ()) -> Html:
    """Return a table that scrolls sideways where the page is narrow; `numeric` are the columns of numbers."""
    def side(column: int) -> str | None:
        return "figure" if column in numeric else None
    return tag("div", {"class": "scroll"}, tag("table", {"class": kind}, tag("thead", None, tag("tr", None, [
        tag("th", {"scope": "col", "class": side(column)}, name) for column, name in enumerate(head)])), tag(
            "tbody", None, [tag("tr", None, [tag("td", {"class": side(column)}, cell)
                                             for column, cell in enumerate(row)]) for row in rows])))


def breakable(name: str) -> Html:
    """Return a name that may go on in the next line after each underscore."""
    return Html(escape(name).replace("_", "_<wbr />"))


def plain(text: str) -> str:
    """Return HTML as the text that a person reads."""
    return unescape(re.sub(r"<[^>]+>", "", text))


def command(text: str) -> Html:
    """Return a command line with a button that copies it."""
    return tag("div", {"class": "command"}, tag("code", None, text),
               tag("button", {"type": "button", "data-copy": text}, "copy"))


def formatted(value: float | None, metric: str) -> Html:
    """Return a figure as a person reads it; the whole number stays in the markup."""
    if value is None:
        return Html("–")
    text = f"{value:.1%}" if percent(metric) else _number(value)
    return tag("data", {"value": value}, text)


def gain(value: float | None, metric: str) -> Html:
    """Return a difference with its sign, in points where the figure is a share."""
    if value is None:
        return Html("unknown")
    text = f"{100 * value:+.1f}" if percent(metric) else _number(value, "+")
    text = text if float(text.replace(",", "")) else text[1:]    # what reads as zero has no sign
    return tag("data", {"value": value}, text.replace("-", "\N{MINUS SIGN}"))


def unit(metric: str) -> str:
    """Return the unit of a difference of this figure."""
    if metric == SPEED:
        return words(metric)
    return "points" if percent(metric) else f"of {words(metric)}"


def percent(metric: str) -> bool:
    """Return whether people read a figure as percent."""
    return metric in OF_CLASSES or metric_of(metric).percent


def words(metric: str) -> str:
    """Return `val/balanced_accuracy` as `balanced accuracy`."""
    return metric_of(metric).words


def capital(text: str) -> str:
    """Return a sentence's first words as it begins with them."""
    return text[:1].upper() + text[1:]


def time(seconds: float) -> str:
    """Return a time such as `42 s`, `7 min` or `3.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _number(value: float, sign: str = "") -> str:
    """Return four digits, or all before the point where there are more."""
    return f"{value:{sign},.0f}" if abs(value) >= 1e4 else f"{value:{sign}.4g}"


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else repr(value)

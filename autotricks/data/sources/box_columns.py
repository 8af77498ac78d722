"""Which columns of a table are edges of boxes, and what a row says of an object."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..fitting import Edges
from ..settings import Box
from .annotated import Marked, number

FORMS = (Box("xmin", "ymin", "xmax", "ymax"), Box("x_min", "y_min", "x_max", "y_max"), Box("x1", "y1", "x2", "y2"),
         Box("left", "top", "right", "bottom"), Box("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"),
         Box("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax"),
         Box("x", "y", width="w", height="h"), Box("x", "y", width="width", height="height"),
         Box("left", "top", width="width", height="height"),
         Box("bbox_x", "bbox_y", width="bbox_width", height="bbox_height"),
         Box("bbox_x", "bbox_y", width="bbox_w", height="bbox_h"), Box("xmin", "ymin", width="width", height="height"),
         Box(x="x_center", y="y_center", width="width", height="height"), Box(x="cx", y="cy", width="w", height="h"))
IGNORED = ("difficult", "iscrowd", "is_crowd", "crowd", "ignore", "ignored", "isgroupof")
SIZES = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))
MISSING = ("", "nan")


@dataclass(frozen=True)
class BoxColumns:
    """The columns of boxes, by number.

    Args:
        edges: By the names of `Box`.
        ignored: Of whether an object is ignored, if there is one.
        size: Of the width and the height of the image, if there are some.
    """

    edges: Mapping[str, int]
    ignored: int | None
    size: tuple[int, int] | None

    @classmethod
    def by_name(cls, names: Sequence[str]) -> Box | None:
        """Return the form of which every column is there, by names in small letters."""
        return next((form for form in FORMS if all(column in names for column in form.told().values())), None)

    def values(self, row: Sequence[str]) -> dict[str, float]:
        """Return what a row says of its box; not a number where it says nothing."""
        return {name: number(_cell(row, index)) for name, index in self.edges.items()}

    def empty(self, row: Sequence[str]) -> bool:
        """Return whether a row says nothing of a box."""
        return all(_cell(row, index).lower() in MISSING for index in self.edges.values())

    def marked(self, row: Sequence[str], labels: Sequence[str], place: str) -> Marked:
        """Return the object of a row."""
        edges = _edges(self.values(row))
        wrong = "" if all(map(math.isfinite, edges)) else "no box of four numbers"
        flag = "" if self.ignored is None else _cell(row, self.ignored).lower()
        return Marked(labels[0] if labels else "", edges, place, flag not in (*MISSING, "0", "0.0", "false", "no"),
                      wrong if labels else "no label")

    def image_size(self, row: Sequence[str]) -> tuple[int, int] | None:
        """Return the width and height of the image that a row tells."""
        width, height = (number(_cell(row, index)) for index in self.size) if self.size else (math.nan, math.nan)
        told = width > 0 and height > 0 and width.is_integer() and height.is_integer()
        return (int(width), int(height)) if told else None


def _edges(values: Mapping[str, float]) -> Edges:
    """Return left, top, right and bottom."""
    if "right" in values:
        return values["left"], values["top"], values["right"], values["bottom"]
    left = values["left"] if "left" in values else values["x"] - values["width"] / 2
    top = values["top"] if "top" in values else values["y"] - values["height"] / 2
    return left, top, left + values["width"], top + values["height"]


def _cell(row: Sequence[str], index: int) -> str:
    return row[index] if index < len(row) else ""

"""Drawing: boxes with names on a picture, and many pictures on one sheet."""
from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .decode import LONG, printable

Color = tuple[int, int, int]
GRAY: Color = (150, 150, 150)       # of what is to be ignored
GOLDEN = 0.618034                   # of the circle of hues from one class to the next: the first ones lie far apart
TEXT = 12                           # pixels
GAP = 6
WIDE = 4                            # pictures in a row of a sheet
PAPER: Color = (255, 255, 255)
INK: Color = (0, 0, 0)


@dataclass(frozen=True)
class Mark:
    """A box to be drawn.

    Args:
        box: Left, top, right and bottom in pixels of the picture.
        name: What is written beside it.
        color: Red, green and blue.
    """

    box: tuple[float, float, float, float]
    name: str
    color: Color


def color_of(label: int) -> Color:
    """Return a bright color for a class."""
    red, green, blue = colorsys.hsv_to_rgb(label * GOLDEN % 1, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def image_of(values: np.ndarray) -> Image.Image:
    """Return uint8 [D, H, W] as an image."""
    return Image.fromarray(values[0] if len(values) == 1 else np.ascontiguousarray(values.transpose(1, 2, 0)))


def marked(picture: Image.Image, marks: Sequence[Mark], side: int = 0) -> Image.Image:
    """Return a picture in color with boxes on it.

    Args:
        picture: Any.
        marks: What to draw; what comes first lies on top.
        side: Pixels that the longer side must have: a smaller picture is enlarged by a whole number.
    """
    times = max(1, math.ceil(side / max(picture.size)))
    canvas = picture.convert("RGB").resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(canvas)
    thick = max(1, round(max(canvas.size) / 400))
    font = ImageFont.load_default(max(TEXT, round(max(canvas.size) / 60)))
    for mark in reversed(marks):
        left, top, right, bottom = (edge * times for edge in mark.box)
        # Pillow paints the pixel of each coordinate; the last pixel of a box is the one before its right edge
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=mark.color, width=thick)
    for mark in reversed(marks):
        _written(pen, mark, times, font)
    return canvas


def _written(pen: ImageDraw.ImageDraw, mark: Mark, times: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
             ) -> None:
    """Write a box's name above it, or within it at the top where there is no place."""
    left, top = (edge * times for edge in mark.box[:2])
    name = printable(mark.name)[:LONG]
    _, _, right, bottom = pen.textbbox((0, 0), name, font=font)
    wide = right + 2
    high = bottom + 2
    width, height = pen.im.size
    x = max(0.0, min(left, width - wide))
    y = top - high if top >= high else max(0.0, min(top, height - high))
    pen.rectangle((x, y, x + wide, y + high), fill=mark.color)
    pen.text((x + 1, y), name, font=font, fill=_ink(mark.color))


def _ink(color: Color) -> Color:
    """Return black on a light color and white on a dark one; weights of ITU-R BT.601."""
    red, green, blue = color
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else PAPER


def sheet(pictures: Sequence[tuple[str, Image.Image]], side: int) -> Image.Image:
    """Return pictures beside and below one another, each above a line of text.

    A row is as high as its highest picture, a column as wide as the widest of all.

    Args:
        pictures: The line and the picture of each.
        side: Pixels of the longer side of each, at most; larger ones are made smaller.
    """
    font = ImageFont.load_default(TEXT)
    below = 2 * TEXT + GAP
    shown = [picture.copy() for _, picture in pictures]
    for picture in shown:
        picture.thumbnail((side, side))
    wide = max((picture.width for picture in shown), default=side)
    rows = [shown[start:start + WIDE] for start in range(0, len(shown), WIDE)]
    heights = [max(picture.height for picture in row) + below for row in rows]
    whole = Image.new("RGB", (WIDE * (wide + GAP) + GAP, sum(heights) + GAP), PAPER)
    pen = ImageDraw.Draw(whole)
    for number, (line, _) in enumerate(pictures):
        x = GAP + number % WIDE * (wide + GAP)
        y = GAP + sum(heights[:number // WIDE])
        whole.paste(shown[number], (x, y))
        pen.text((x, y + shown[number].height + 2), _cut(printable(line), pen, font, wide), font=font, fill=INK)
    return whole


def _cut(line: str, pen: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, wide: int) -> str:
    """Return the end of a line that is too long: of a path, the file."""
    for start in range(len(line)):
        text = line if not start else f"...{line[start:]}"
        if pen.textlength(text, font=font) <= wide:
            return text
    return ""

"""Contact sheet: some images of a source as a model sees them, with what is known of them."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from PIL import Image

from .decode import pixels
from .drawing import GRAY, Mark, color_of, image_of, marked, sheet
from .settings import Settings
from .survey import Row, Seen

PICTURES = 24
SIDE = 384          # pixels of each


def contact_sheet(seen: Seen, settings: Settings) -> Image.Image:
    """Return a sheet of 24 images: one of each class, the rarest first, then some of all, evenly spaced.

    Boxes are drawn with the names of their classes, those that are to be ignored in gray; without boxes the labels are
    written below.

    Args:
        seen: The source.
        settings: Size, fit and channels that images are brought to.
    """
    rows = [seen.rows[row] for row in chosen([row.labels for row in seen.rows])]
    colors = {name: color_of(number) for number, name in enumerate(seen.classes)}
    pictures = [(row.name if row.objects else f"{row.label}: {row.name}",
                 marked(_picture(row, settings), _marks(row, settings, colors), SIDE)) for row in rows]
    return sheet(pictures, SIDE)


def chosen(labels: Sequence[tuple[str, ...]]) -> list[int]:
    """Return the rows of the images that are shown, ascending."""
    counts = Counter(name for names in labels for name in names)
    first = {name: row for row, names in reversed([*enumerate(labels)]) for name in names}
    rarest = dict.fromkeys(first[name] for name, _ in reversed(counts.most_common()))
    of_classes = [*rarest][:PICTURES]
    others = [row for row in range(len(labels)) if row not in of_classes]
    left = min(PICTURES - len(of_classes), len(others))
    return sorted([*of_classes, *(others[index * len(others) // left] for index in range(left))])


def _picture(row: Row, settings: Settings) -> Image.Image:
    return image_of(pixels(image_of(row.read()), settings.size, settings.channels, settings.fit))


def _marks(row: Row, settings: Settings, colors: dict[str, tuple[int, int, int]]) -> list[Mark]:
    if row.objects is None:
        return []
    brought = row.objects.brought(row.look.size, settings.size, settings.fit)
    flags = brought.ignored or (False,) * len(row.labels)
    return [Mark((left, top, right, bottom), f"{name}, ignored" if flag else name,
                 GRAY if flag else colors.get(name, GRAY))
            for (left, top, right, bottom), name, flag in zip(brought.boxes.tolist(), row.labels, flags, strict=True)
            if right > left and bottom > top]

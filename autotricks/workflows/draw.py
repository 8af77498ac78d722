"""Draw: pictures with what was predicted on them."""
from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..data.decode import Bad, decode, each, printable
from ..data.drawing import Color, Mark, color_of, image_of, marked
from ..errors import InputError
from ..io.files import ensure_folder, write_atomic
from .predict import Row

SIDE = 512              # pixels of the longer side, below which a picture is enlarged
QUALITY = 92            # of a JPEG
SUFFIX = ".jpg"


def draw(rows: Sequence[Row], folder: str | os.PathLike[str], threshold: float = 0.0,
         classes: Sequence[str] = ()) -> list[Path]:
    """Draw what `predict` returned: each file that could be read, with boxes, classes and probabilities.

    Pictures lie in the folder as the files lie below the folder that they share, as JPEG. A small one is enlarged.

    Args:
        rows: Of `predict`.
        folder: For the pictures; made if it is not there.
        threshold: Probability from which on an object is drawn.
        classes: In the order of their colors; without, in the order in which they are found.

    Returns:
        The pictures.

    Raises:
        InputError: When pictures would lie among the files that are drawn, or nobody can write there.
    """
    named = [str(one["class"]) for row in rows for one in _objects(row)]
    files = [Path(str(row["path"])) for row in rows]
    limits = dict.fromkeys([*classes, *named], threshold)
    return Pictures.of(files, Path(folder), limits).write(rows)


@dataclass(frozen=True)
class Pictures:
    """Where pictures of files are drawn, and how.

    Args:
        targets: Of each file its picture.
        limits: Probability of an object of each class, from which on it is drawn.
        colors: Of each class.
    """

    targets: Mapping[str, Path]
    limits: Mapping[str, float]
    colors: Mapping[str, Color]

    @classmethod
    def of(cls, files: Iterable[Path], folder: Path, limits: Mapping[str, float]) -> Pictures:
        """Say where pictures go, and make sure of it; classes have colors in the order of their limits.

        Raises:
            InputError: As `draw`.
        """
        whole = {str(file): Path(os.path.abspath(file)) for file in files}
        base = os.path.commonpath([path.parent for path in whole.values()]) if whole else ""
        targets = {name: _named(folder / path.relative_to(base)) for name, path in whole.items()}
        taken = {os.path.realpath(path.parent) for path in whole.values()}
        if any(os.path.realpath(target.parent) in taken for target in targets.values()):
            raise InputError(f"--draw {printable(folder)}: holds files that are to be drawn, among which their "
                             "pictures would lie. Name another folder.")
        ensure_folder(folder)
        return cls(targets, limits, {name: color_of(number) for number, name in enumerate(limits)})

    def write(self, rows: Iterable[Row]) -> list[Path]:
        """Draw rows of these files, in threads; those that could not be read have no picture.

        Raises:
            InputError: When a picture cannot be written.
        """
        good = {str(row["path"]): row for row in rows if row["error"] is None}
        drawn = each(partial(self._drawn, good), [Path(name) for name in good])
        written = []
        for name, content in zip(good, drawn, strict=True):
            if not isinstance(content, Bad):        # gone since it was read
                ensure_folder(self.targets[name].parent)
                write_atomic(self.targets[name], content)
                written.append(self.targets[name])
        return written

    def _drawn(self, rows: Mapping[str, Row], path: Path) -> bytes:
        """Return the picture of a file, as a JPEG."""
        picture = image_of(decode(path))
        store = io.BytesIO()
        marked(picture, self._marks(rows[str(path)], picture.size), SIDE).save(
            store, "JPEG", quality=QUALITY, subsampling=0)      # colors of thin lines stay
        return store.getvalue()

    def _marks(self, row: Row, size: tuple[int, int]) -> list[Mark]:
        """Return a box for each object; where places are not told, one around all, with what it is taken for."""
        if "objects" in row:
            return [Mark((float(one["left"]), float(one["top"]), float(one["right"]), float(one["bottom"])),
                         f"{one['class']} {float(one['probability']):.2f}", self._color(str(one["class"])))
                    for one in _objects(row) if float(one["probability"]) >= self.limits.get(str(one["class"]), 0.0)]
        words = ", ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for name, value in row.items()
                          if name not in ("path", "error"))
        return [Mark((0.0, 0.0, float(size[0]), float(size[1])), words, self._color(str(row.get("class"))))]

    def _color(self, name: str) -> Color:
        return self.colors.get(name, color_of(len(self.colors)))


def _objects(row: Row) -> list[dict[str, str | float]]:
    objects = row.get("objects")
    return objects if isinstance(objects, list) else []


def _named(path: Path) -> Path:
    """Return the name of a picture: that of the file, and .jpg behind it where it is of another kind."""
    return path if path.suffix.lower() == SUFFIX else path.with_name(path.name + SUFFIX)

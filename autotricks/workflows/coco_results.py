"""COCO results: objects that were found, as the tools that evaluate on COCO read them."""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.decode import printable
from ..errors import InputError
from ..io.did_you_mean import listed, suggest
from .predict import Row

Number = int | str      # of an image or a category; some files have texts


@dataclass(frozen=True)
class Numbers:
    """What images and categories are called in results.

    Args:
        images: By the path of the file.
        categories: By class.
    """

    images: Mapping[str, Number]
    categories: Mapping[str, Number]

    @classmethod
    def own(cls, paths: Sequence[str], classes: Sequence[str]) -> Numbers:
        """Number images by their names, where all are different whole numbers as COCO's are, else in order, from 1.

        Categories are numbered from 1 in the order of the classes.
        """
        stems = [Path(path).stem for path in paths]
        named = [int(stem) for stem in stems if stem.isascii() and stem.isdecimal()]
        numbers = named if len(set(named)) == len(paths) else range(1, len(paths) + 1)
        return cls(dict(zip(paths, numbers, strict=True)), {name: place for place, name in enumerate(classes, 1)})

    @classmethod
    def of(cls, annotations: Path, paths: Sequence[str], classes: Sequence[str]) -> Numbers:
        """Take the numbers from a file of annotations, by the names of files and classes.

        Raises:
            InputError: When it cannot be read, or a file or a class is not in it.
        """
        where = f"--annotations {printable(annotations)}"
        try:
            document = json.loads(annotations.read_bytes())
            images: dict[str, list[tuple[str, Number]]] = defaultdict(list)
            for one in document["images"]:
                images[Path(one["file_name"]).name].append((one["file_name"], one["id"]))
            categories = {str(one["name"]): one["id"] for one in document["categories"]}
        except OSError as error:
            raise InputError(f"{where}: cannot be read: {error.strerror or error}.") from None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{where}: is no file of COCO annotations, with images and categories: {error!r}."
                             ) from None
        lines = [f"{where}: has no category called {name!r}.{suggest(name, categories)} There is "
                 f"{listed([*categories])}." for name in classes if name not in categories]
        found = {path: _number(Path(path), images) for path in paths}
        absent = [printable(path) for path, number in found.items() if number is None]
        if absent:
            lines.append(f"{where}: has no image called {listed(absent)}, or several. Predict on images that it lists.")
        if lines:
            raise InputError(lines)
        return cls({path: number for path, number in found.items() if number is not None}, categories)


def results(rows: Sequence[Row], numbers: Numbers) -> list[dict[str, Any]]:
    """Return a result for each object: image_id, category_id, bbox (left, top, width, height in pixels), score.

    Args:
        rows: Of `predict`; a file that could not be read has no results.
        numbers: Of images and categories.
    """
    found = []
    for row in rows:
        objects = row.get("objects")
        for one in objects if isinstance(objects, list) else ():
            left, top, right, bottom = (float(one[edge]) for edge in ("left", "top", "right", "bottom"))
            found.append({"image_id": numbers.images[str(row["path"])],
                          "category_id": numbers.categories[str(one["class"])],
                          "bbox": [left, top, right - left, bottom - top], "score": float(one["probability"])})
    return found


def _number(path: Path, images: Mapping[str, Sequence[tuple[str, Number]]]) -> Number | None:
    """Return the number of the image of a file: the only one of its name, or the one whose folders are those too."""
    alike = images.get(path.name, ())
    if len(alike) == 1:
        return alike[0][1]
    same = [number for name, number in alike if path.parts[-len(Path(name).parts):] == Path(name).parts]
    return same[0] if len(same) == 1 else None

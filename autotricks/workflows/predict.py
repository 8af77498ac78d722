"""Predict: image files to what a trained bundle takes them for."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..core.images import CHUNK
from ..core.reporting import OnProgress, silent
from ..core.task import Answer, Object
from ..data.decode import Bad, each, printable
from ..data.sources.files import files_under, no_image
from ..errors import DataError, InputError
from ..inference.predictor import Predictor
from ..inference.preprocessing import Picture
from ..runs.champion import locate
from ..system.devices import check_device
from ..tracking.model_registry import REGISTERED, local_folder

RUNS = Path("runs")
Row = dict[str, str | float | list[Object] | None]     # path, the columns of the answer, error
Item = TypeVar("Item")


def predict(bundle: str | os.PathLike[str], paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
            topk: int = 1, device: str = "cpu", trust: bool = False, on_progress: OnProgress = silent) -> list[Row]:
    """Return what a trained bundle takes images for: a row for each file, in the order of their paths.

    A row has `path`, `class`, `probability` in [0, 1], with a larger `topk` also `class_2`, `probability_2` and so on,
    and `error`, which is None. Of a file that cannot be read `error` says why, and the rest is None. Where a bundle
    finds objects, `objects` is a list of those in each image that are as probable as was fitted on validation, the
    likeliest first: `class`, `probability`, and `left`, `top`, `right`, `bottom` in pixels of the file as one looks at
    it; `class` and `probability` of the row are those of the likeliest, None where there is none.

    Args:
        bundle: A run's folder, its name below `runs`, or `latest`; a folder that `autotricks train` or `export` wrote,
            or the bundle file in it; or `models:/NAME@ALIAS` of MLflow's registry.
        paths: Image files, and folders, of which every file is taken, at any depth, but hidden ones.
        topk: How many of the most probable classes to tell.
        device: cpu, cuda or cuda:N.
        trust: Whether a model of the form `my.module:function` may be imported.
        on_progress: Hears how many files are done, of how many.

    Raises:
        RunError: When there is no such bundle, or it is damaged.
        InputError: When `topk` is less than one, there is no such device, or a folder cannot be listed.
    """
    prediction = Prediction.of(os.fspath(bundle), topk, device, RUNS, trust)
    files, _ = files_of([paths] if isinstance(paths, (str, os.PathLike)) else paths)
    rows: list[Row] = []
    for batch in prediction.rows(files):
        rows += batch
        on_progress(len(rows), len(files))
    return rows


@dataclass(frozen=True)
class Prediction:
    """A trained bundle, and how much is to be told of each image.

    Args:
        predictor: Of the bundle.
        topk: How many of the most probable classes to tell.
        least: Probability from which on objects are told, in place of what was fitted on validation.
    """

    predictor: Predictor
    topk: int
    least: float | None = None

    @classmethod
    def of(cls, bundle: str, topk: int, device: str, root: Path, trust: bool = False) -> Prediction:
        """Load a bundle: a run, what was trained or exported, or a registered model; see `predict`."""
        if topk < 1:
            raise InputError(f"topk: {topk} is not allowed; topk must be >= 1.")
        device = check_device(device)
        folder = Path(local_folder(bundle, root)) if bundle.startswith(REGISTERED) else locate(bundle, root)
        return cls(Predictor.load(folder, trust, device), topk)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names in a row, in order."""
        return "path", *self.predictor.columns(self.topk), "error"

    def rows(self, paths: Sequence[Path]) -> Iterator[list[Row]]:
        """Yield the rows of a batch of files after the other; memory holds no more than two batches of images."""
        parts = [paths[first:first + CHUNK] for first in range(0, len(paths), CHUNK)]
        pictures = _ahead(list(each(self.predictor.preprocessing.picture, part)) for part in parts)
        for part, seen in zip(parts, pictures, strict=True):
            answers = iter(self._answers([picture for picture in seen if not isinstance(picture, Bad)]))
            yield [self._row(path, picture.reason if isinstance(picture, Bad) else next(answers))
                   for path, picture in zip(part, seen, strict=True)]

    def _answers(self, pictures: Sequence[Picture]) -> list[Answer]:
        """Return what is said of images, with places in pixels of their files."""
        if not pictures:
            return []
        decoded = self.predictor.predict(np.stack([one.pixels for one in pictures]).transpose(0, 2, 3, 1))
        return self.predictor.answers(decoded, self.topk, [one.size for one in pictures], self.least)

    def _row(self, path: Path, said: Answer | str) -> Row:
        """Return the row of a file, of which something is said or a reason why nothing is."""
        blank: Row = dict.fromkeys(self.columns)
        return {**blank, "path": str(path), **({"error": said} if isinstance(said, str) else said)}


def files_of(names: Iterable[str | os.PathLike[str]]) -> tuple[list[Path], list[Bad]]:
    """Return files as they are named, in place of a folder the files in it, and what of these is left out.

    Left out are hidden files, without a word, and, with the reason, links and what is no image by its name.

    Raises:
        InputError: When a folder cannot be listed.
    """
    paths: list[Path] = []
    skipped: list[Bad] = []
    for path in (Path(name).expanduser() for name in names):
        if not os.path.isdir(path):     # what is not there becomes a row that says so
            paths.append(path)
            continue
        try:
            files, left = files_under(path, path)
        except DataError as error:
            raise InputError(line.removeprefix("data.source: ") for line in error.problems) from None
        paths += [file for file in files if not no_image(file.name)]
        others = Counter(file.suffix.lower() for file in files if no_image(file.name))
        skipped += [*left, *(Bad(f"{printable(path)}/**/*{suffix}", f"{count} files: no images")
                             for suffix, count in others.items())]
    return paths, skipped


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items, of which the next is made meanwhile, in a thread."""
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = maker.submit(next, items, None)
            yield item

"""Settings: the `data:` section of a space file, checked."""
from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import DataError
from ..tasks import TASKS


def _whole(value: Any, low: int, high: float = math.inf) -> bool:
    return type(value) is int and low <= value <= high


def _real(value: Any, low: float, high: float = math.inf) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and low <= value <= high


@dataclass(frozen=True)
class Group:
    """Which images belong together, so that no two splits share an object; one of the two is given.

    Args:
        column: Of a csv source, whose words name the groups.
        pattern: A regular expression with one group, searched in the path of an image relative to its source.
    """

    column: str | None = None
    pattern: str | None = None

    def problems(self) -> list[str]:
        """Return one line for each thing that cannot be."""
        if (self.column is None) == (self.pattern is None):
            return ["data.group: give either column or pattern."]
        if self.column is not None and self.column.strip().lower() in ("", "path", "label", "split"):
            return [f"data.group.column: {self.column!r} is not allowed; take one beside path, label and split."]
        try:
            count = re.compile(self.pattern or "()").groups
        except (re.error, OverflowError, RecursionError) as error:
            return [f"data.group.pattern: {self.pattern!r} is no regular expression: {error}."]
        return [] if count == 1 else [
            f"data.group.pattern: {self.pattern!r} has {count} groups in parentheses; it must have one, which finds "
            "the object's name. (?:...) groups without counting."]


LEGAL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "source": (lambda value: isinstance(value, str) and bool(value.strip()), "text such as digits or csv:PATH"),
    "task": (lambda value: value in TASKS, f"one of {', '.join(TASKS)}"),
    "size": (lambda value: value is None or _whole(value, 1), "a whole number of pixels >= 1, or left out"),
    "channels": (lambda value: value is None or (_whole(value, 1, 3) and value != 2),
                 "1 (gray) or 3 (color), or left out"),
    "normalize": (lambda value: value in ("weights", "data"), "weights or data"),
    "imbalance": (lambda value: value is None or _real(value, 1), ">= 1 (largest class / smallest class), or left out"),
    "validation": (lambda value: _real(value, 0, 1) and 0 < value < 1, "a fraction > 0 and < 1"),
    "test": (lambda value: _real(value, 0, 1) and 0 < value < 1, "a fraction > 0 and < 1"),
    "seed": (lambda value: _whole(value, 0, 2**32 - 1), "a whole number from 0 to 4294967295"),
    "max_bad": (lambda value: _real(value, 0, 1), "a share from 0 to 1"),
    "duplicates": (lambda value: value in ("keep", "drop"), "keep or drop"),
    "memory": (lambda value: value is None or _real(value, 0), "GiB >= 0, or left out"),
    "workers": (lambda value: value is None or _whole(value, 0, 256), "a whole number from 0 to 256, or left out"),
    "prefetch": (lambda value: value is None or _whole(value, 1, 1024), "a whole number from 1 to 1024, or left out"),
}


@dataclass(frozen=True)
class Settings:
    """Say which images to load and how to split them.

    Args:
        source: Where images and labels come from; see `autotricks.data`.
        task: What is to be learned; see `autotricks.tasks`.
        size: Side in pixels: the shorter side is resized to it and the center is cropped. None: as the images are.
        channels: 1 for gray, 3 for color. None: as the data is.
        normalize: With which mean and deviation: those that pretrained `weights` were trained with, where there are
            some, or those of the `data` at hand.
        imbalance: Factor n_max / n_min of the exponential long tail of the training split. None: as it is.
        validation: Fraction of the training images held out where the source has no validation split.
        test: Fraction of the training images held out, before validation, where the source has no test split.
        seed: Seed of splits and long tail.
        max_bad: Share of unreadable files above which loading refuses.
        duplicates: What becomes of training images that are, pixel for pixel, in validation or test too, and of
            validation images that are in test: `drop` takes them out; `keep` counts them and leaves them, so that
            published splits stay comparable and images that are rightly equal, such as small scans, are not lost.
        group: Which images belong together and are never parted by a split. None: each stands for itself.
        memory: GiB that image files may take when decoded; those that take more are streamed. None: what is free.
        workers: Processes that decode what is streamed, beside each training. None: 2.
        prefetch: Batches that each of them holds ready. None: 2.

    Raises:
        DataError: With one line for each value that is not allowed.
    """

    source: str = "digits"
    task: str = "classification"
    size: int | None = None
    channels: int | None = None
    normalize: str = "weights"
    imbalance: float | None = None
    validation: float = 0.25
    test: float = 0.25
    seed: int = 0
    max_bad: float = 0.01
    duplicates: str = "keep"
    group: Group | None = None
    memory: float | None = None
    workers: int | None = None
    prefetch: int | None = None

    def room(self, free: int) -> float:
        """Return the bytes that images in memory may take, of those that are free."""
        return free if self.memory is None else min(free, self.memory * 2**30)

    def __post_init__(self) -> None:
        problems = [f"data.{name}: {getattr(self, name)!r} is not allowed; {name} must be {words}."
                    for name, (legal, words) in LEGAL.items() if not legal(getattr(self, name))]
        if self.group:
            problems += self.group.problems()
            if str(self.source).partition(":")[0] not in ("image_folder", "csv"):
                problems.append(f"data.group: {self.source} has neither paths nor columns. Leave it out, or bring the "
                                "images as image_folder or csv.")
        if problems:
            raise DataError(problems)

"""The data sets on which searches are measured: `sets.yaml` and `box_sets.yaml` say at which size and length.

space = sets.load("gtsrb", Path("data"), ["search.seed=3"])     # long_tail.yaml on this set
data = sets.dataset("gtsrb", Path("data"))                      # test included
"""
from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml

from autotricks.core.dataset import Dataset
from autotricks.data import load as load_data
from autotricks.space.load import LoadedSpace, load_space

FILE = Path(__file__).with_name("sets.yaml")
BOXES = Path(__file__).with_name("box_sets.yaml")
WORK = Path(tempfile.gettempdir()) / "autotricks-sets"      # where long tails of CIFAR are kept
SPACE, BATCH, REDUCTION = "long_tail.yaml", 64, 3


@dataclass(frozen=True)
class Recipe:
    """One entry of `sets.yaml` or `box_sets.yaml`."""

    epochs: int
    source: str = ""
    file: str = ""
    size: int | list[int] | None = None
    imbalance: float | None = None
    largest: int = 0
    held: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0
    model: str = "resnet8"
    batch: int = BATCH
    space: str = SPACE


@cache
def recipes(file: Path = FILE) -> dict[str, Recipe]:
    """Return every set of one kind by its name."""
    return {name: Recipe(**fields) for name, fields in yaml.safe_load(file.read_text("utf-8")).items()}


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a set of either kind."""
    return {**recipes(), **recipes(BOXES)}[name]


def has_boxes(name: str) -> bool:
    """Return whether objects are to be found in a set."""
    return name in recipes(BOXES)


def source(name: str, folder: Path) -> str:
    """Return the data source of a set; a long tail is cut from the whole set once."""
    recipe = recipe_of(name)
    if recipe.source:
        return recipe.source.replace("{data}", str(folder))
    if not recipe.largest:
        return f"npz:{folder / recipe.file}"
    path = WORK / f"{name}-{recipe.size}-{recipe.largest}-{recipe.imbalance:g}-{recipe.held}.npz"
    if not path.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_long_tail(folder / recipe.file, recipe))
    return f"npz:{path}"


def overrides(name: str, folder: Path) -> list[str]:
    """Return what a set changes in the space that is searched."""
    recipe = recipe_of(name)
    if has_boxes(name):
        return [f"data.source={source(name, folder)}", f"data.size={recipe.size}", f"model.name={recipe.model}",
                f"training.epochs={recipe.epochs}", f"training.batch_size={recipe.batch}", "training.precision=fp32",
                "search.engine=local"]
    imbalance = f"{{factor: {recipe.imbalance}}}" if recipe.imbalance and not recipe.largest else "null"
    return [f"data.source={source(name, folder)}", f"data.imbalance={imbalance}",
            *([f"data.size={recipe.size}"] if recipe.size else []), f"training.epochs={recipe.epochs}",
            f"training.batch_size={BATCH}", "training.precision=fp32", "training.layout=nchw",
            f"search.rungs.first={max(1, round(recipe.epochs / REDUCTION ** 2))}", "search.engine=local"]


def load(name: str, folder: Path, more: Sequence[str] = (), space: str = "") -> LoadedSpace:
    """Return the space that ships, on a set."""
    return load_space(space or recipe_of(name).space, [*overrides(name, folder), *more])


@cache
def dataset(name: str, folder: Path) -> Dataset:
    """Return the images of a set, those of test included."""
    found = load_data(load(name, folder).document.data.settings()).dataset
    recipe = recipe_of(name)
    kept = {"train": recipe.train, "validation": recipe.validation, "test": recipe.test}
    return replace(found, **{split: getattr(found, split).sample(count) for split, count in kept.items() if count})


def _long_tail(path: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the first rows of each class as the exponential long tail has them, and others as validation."""
    assert recipe.size and recipe.imbalance
    with np.load(path) as whole:
        images, labels = whole["x_train"], whole["y_train"]
        test, answers, classes = whole["x_test"], whole["y_test"], whole["classes"]
    last = len(classes) - 1
    counts = [int(recipe.largest * recipe.imbalance ** (-label / last)) for label in range(last + 1)]
    rows = [np.flatnonzero(labels == label) for label in range(last + 1)]
    train = np.concatenate([found[:count] for found, count in zip(rows, counts, strict=True)])
    held = np.concatenate([found[recipe.largest:recipe.largest + recipe.held] for found in rows])
    return {"x_train": _resized(images[train], recipe.size), "y_train": labels[train],
            "x_val": _resized(images[held], recipe.size), "y_val": labels[held],
            "x_test": _resized(test, recipe.size), "y_test": answers, "classes": classes}


def _resized(images: Any, size: int) -> Any:
    """Return uint8 images [N, H, W, D] at another size, each pixel the mean of those that it covers."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return F.interpolate(pixels, (size, size), mode="area").round().byte().permute(0, 2, 3, 1).numpy()

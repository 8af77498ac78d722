"""Weights that trainings begin with: found before anything else, fetched once a search, held against the models."""
from __future__ import annotations

from collections.abc import Mapping

from ..core.dataset import Dataset
from ..core.weights import DEFAULT, Weights, key
from ..errors import InputError, ModelError
from ..models import load_weights, published
from ..nn.pretrained import fitted
from . import models
from .load import LoadedSpace
from .sections import WeightsSection


def with_weights(loaded: LoadedSpace) -> tuple[LoadedSpace, dict[str, Weights]]:
    """Return a space with its models' whole names, sizes and checksums, and all weights that its trainings begin with.

    Raises:
        InputError: When weights cannot be had, are damaged, or are not those that a run began with.
    """
    wanted = [value for entry in loaded.space.entries if entry.name == models.TRICK
              for value in models.values(entry) if value]
    if not wanted:
        return loaded, {}
    held: dict[str, Weights] = {}
    try:
        if DEFAULT in wanted:
            loaded, held = _published(loaded)
        files = {value: load_weights("", value) for value in wanted if value != DEFAULT}
    except ModelError as error:
        raise InputError(_placed(loaded, error)) from None
    return loaded, {**held, **files}


def _published(loaded: LoadedSpace) -> tuple[LoadedSpace, dict[str, Weights]]:
    """Return the space and its models' published weights."""
    known = loaded.document.weights
    names: dict[str, str] = {}
    sides: dict[str, int | None] = {}
    held: dict[str, Weights] = {}
    pins: dict[str, WeightsSection] = {}
    for name in loaded.document.model.names:
        pin = known[name].pin if name in known else None
        found = published(name, pin.revision if pin else "")
        whole = str(found.name)
        weights = load_weights(name, DEFAULT, pin)
        names[name] = whole
        sides[whole] = found.side
        held[key(whole, DEFAULT)] = weights
        pins[whole] = WeightsSection(**weights.facts())
    if loaded.document.data.size is None and len({*sides.values()}) > 1:
        listed = ", ".join(f"{name} {side}" for name, side in sides.items())
        raise InputError(loaded.tree.problem(("model", "name"), "the models were trained on images of different sizes: "
                                             f"{listed}. Set data.size."))
    return loaded.with_models(names, next(iter(sides.values())), pins), held


def require_fit(loaded: LoadedSpace, dataset: Dataset, trust: bool) -> None:
    """Build each model once and see that the weights go into it.

    Raises:
        InputError: With a line for each that does not.
    """
    errors = []
    classes = len(dataset.classes)
    named = {key(model, DEFAULT) for model in loaded.space.models}
    for model in loaded.space.models:
        for name, weights in dataset.weights.items():
            if name in named and name != key(model, DEFAULT):
                continue    # those of another model
            try:
                built = dataset.task.build(model, classes, dataset.image_shape, trust)
                fitted(built, weights.tensors, classes, weights.source)
            except ModelError as error:
                errors += _placed(loaded, error)
    if errors:
        raise InputError(errors)


def _placed(loaded: LoadedSpace, error: ModelError) -> list[str]:
    """Return the lines of an error with where in the space it is."""
    places: Mapping[str, tuple[str, ...]] = {
        "pretrained.weights: ": ("tricks", models.TRICK, models.WEIGHTS), "model.name: ": ("model", "name"),
        "model.weights: ": ("model", "weights"), "model.pretrained: ": ("model", "pretrained")}
    lines = []
    for line in error.problems:
        start = next((start for start in places if line.startswith(start)), None)
        lines.append(loaded.tree.problem(places[start], line.removeprefix(start)) if start else line)
    return lines

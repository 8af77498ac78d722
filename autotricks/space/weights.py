"""Weights that trainings begin with: found before anything else, fetched once a search, held against the models."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ..core.dataset import Dataset
from ..core.weights import DEFAULT, Weights, key
from ..errors import HubError, InputError, ModelError
from ..models import Published, cached, load_weights, published
from ..models.names import parse
from ..nn.pretrained import fitted
from . import models
from .load import LoadedSpace
from .sections import WeightsSection


def wanted(loaded: LoadedSpace) -> list[str]:
    """Return what the trainings of a space may begin with: `default`, files, or neither."""
    searched = [str(value) for entry in loaded.space.entries if entry.name == models.TRICK
                for value in models.values(entry)]
    started = [bundle.weights for bundle in loaded.start.values()]
    return [value for value in dict.fromkeys([*searched, *started]) if value]


def described(loaded: LoadedSpace) -> tuple[LoadedSpace, list[Published]]:
    """Return a space with its models' whole names and the size of their images, and the weights published for them.

    Nothing is fetched but, for a model of the hub, its description.

    Raises:
        InputError: When nothing is published for a model.
        HubError: When only the hub knows what the model is, and cannot be reached.
    """
    if DEFAULT not in wanted(loaded):
        return loaded, []
    known = loaded.document.weights
    with _placed(loaded):
        listed = {name: published(name, known[name].revision if name in known else "")
                  for name in loaded.document.model.names}
    names = {name: str(one.name) for name, one in listed.items()}
    sides = {one.side for one in listed.values()}
    if loaded.document.data.size is None and len(sides) > 1:
        sizes = ", ".join(f"{name} {one.side}" for name, one in listed.items())
        raise InputError(loaded.tree.problem(("model", "name"), "the models were trained on images of different sizes: "
                                             f"{sizes}. Set data.size."))
    pins = {names[name]: pin for name, pin in known.items() if name in names}
    return loaded.with_models(names, next(iter(sides)), pins), list(listed.values())


def unfetched(loaded: LoadedSpace, listed: list[Published]) -> list[str]:
    """Return a line for each of a space's published weights that are not on this machine yet."""
    known = {name: pin.revision for name, pin in loaded.document.weights.items()}
    return [f"the weights of {one.name}, {one.source}, are not on this machine yet; a search fetches them, and "
            f"autotricks fetch '{one.name}' does so now" for one in listed
            if not cached(one, known.get(str(one.name), ""))]


def begins(loaded: LoadedSpace, model: str) -> str:
    """Return in words what trainings of a model may begin with, without asking the hub."""
    entry = next((entry for entry in loaded.space.entries if entry.name == models.TRICK), None)
    named = [f"the weights of {_source(model) if value == DEFAULT else value}" for value in wanted(loaded)]
    drawn = entry is None or not entry.always or "" in models.values(entry)
    return " or ".join([*named, *(["weights at random"] if drawn else [])])


def _source(model: str) -> str:
    return parse(model).repository or published(model).source


def with_weights(loaded: LoadedSpace) -> tuple[LoadedSpace, dict[str, Weights]]:
    """Return a space with its models' whole names, sizes and checksums, and all weights that its trainings begin with.

    Raises:
        InputError: When weights cannot be had, are damaged, or are not those that a run began with.
    """
    loaded, listed = described(loaded)
    known = loaded.document.weights
    held: dict[str, Weights] = {}
    pins: dict[str, WeightsSection] = {}
    with _placed(loaded):
        for one in listed:
            name = str(one.name)
            pin = known.get(name)
            held[key(name, DEFAULT)] = load_weights(name, DEFAULT, pin.pin if pin else None)
            pins[name] = WeightsSection(**held[key(name, DEFAULT)].facts())
        files = {value: load_weights("", value) for value in wanted(loaded) if value != DEFAULT}
    return loaded.with_models({}, None, pins) if pins else loaded, {**held, **files}


def require_fit(loaded: LoadedSpace, dataset: Dataset, trust: bool) -> None:
    """Build each model once and see that the weights go into it.

    Raises:
        InputError: When they do not.
    """
    classes = len(dataset.classes)
    named = {key(model, DEFAULT) for model in loaded.space.models}
    for model in loaded.space.models:
        for name, weights in dataset.weights.items():
            if name in named and name != key(model, DEFAULT):
                continue    # those of another model
            with _placed(loaded, name in named):
                built = dataset.task.build(model, classes, dataset.image_shape, trust)
                fitted(built, weights.tensors, classes, weights.source)


@contextmanager
def _placed(loaded: LoadedSpace, by_name: bool = False) -> Iterator[None]:
    """Say where in the space's file an error is, also one of weights that the model's name says."""
    of_file = ("tricks", models.TRICK, models.WEIGHTS)
    places: Mapping[str, tuple[str, ...]] = {
        "pretrained.weights: ": ("model", "name") if by_name else of_file, "model.name: ": ("model", "name"),
        "model.weights: ": ("model", "weights"), "model.pretrained: ": ("model", "pretrained")}
    try:
        yield
    except ModelError as error:
        lines = []
        for line in error.problems:
            start = next((start for start in places if line.startswith(start)), None)
            lines.append(loaded.tree.problem(places[start], line.removeprefix(start)) if start else line)
        raise (HubError(lines) if isinstance(error, HubError) else InputError(lines)) from None

"""The bundles of TrickBench: the same tricks on every data set, so that effects can be compared.

Start bundles, single additions to the baseline and to a published bundle, removals, steps of single parameters, draws
of a few tricks, and what earlier searches found best on one of the sets. They are drawn for 50 epochs; a set squeezes
them into its own length.
"""
from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from autotricks.core.bundle import Bundle
from autotricks.core.domain import Choice, Domain, Float, Int, Value
from autotricks.space.load import LoadedSpace, load_space
from autotricks.space.space import Space, Taken, clash
from autotricks.tricks.catalog import bundle_from

STRONG = "mixup_balanced_softmax"
START = ("baseline", {"name": STRONG, "without": ["crop", "flip", "step"]})
PUBLISHED = ("label_smoothing", "balanced_softmax", "deferred_class_balanced", "deferred_ldam", "manifold_mixup",
             "bag_of_tricks")
LATE = ("class_weights", "cost_sensitive", "class_balanced", "square_root")      # twice: from the start, and deferred
ALSO = ("adamw", "no_bias_decay", "zero_gamma", "ema", "label_smoothing", "crop", "flip", "random_affine",
        "color_jitter", "trivial_augment", "random_erasing", "classifier_retraining")
STEPS = {"sgd.lr": (0.03, 0.2, 0.4, 0.8), "sgd.weight_decay": (1e-5, 1e-3, 4e-3), "sgd.momentum": (0.8, 0.95),
         "mixup.alpha": (0.1, 0.3, 0.6), "mixup.stop": (0.8, 0.9)}
DRAWS = 36
CHAMPIONS, CHAMPION = Path(__file__).with_name("champions.json"), "champion of"     # of earlier searches on these sets
EPOCHS = 50     # that bundles are written down for
Wishes = dict[str, dict[str, Value]]


def bundles() -> dict[str, Bundle]:
    """Return each bundle by its label, those that tell most first."""
    space = load_space("long_tail.yaml", ["training.precision=fp32"])
    return dict(different(_all(space)))


def different(labelled: Iterator[tuple[str, Bundle]]) -> Iterator[tuple[str, Bundle]]:
    seen: set[str] = set()
    for label, bundle in labelled:
        if bundle.hash not in seen:
            seen.add(bundle.hash)
            yield label, bundle


def _all(loaded: LoadedSpace) -> Iterator[tuple[str, Bundle]]:
    space, start = loaded.space, loaded.start
    yield from start.items()
    strong, plain = wish(start[STRONG]), wish(start["baseline"])
    for path, values in STEPS.items():
        trick, _, name = path.partition(".")
        for value in values:
            yield f"{STRONG} {path}={value:g}", changed(space, strong, {trick: {name: value}})
            if trick in plain:
                yield f"baseline {path}={value:g}", changed(space, plain, {trick: {name: value}})
    for gone in strong:
        if gone not in ("sgd", "cosine"):
            yield f"{STRONG} - {gone}", space.closest({name: kept for name, kept in strong.items() if name != gone})
    for entry in space.entries:
        if entry.always or entry.name in plain:
            continue
        for late in (False, True) if entry.name in LATE else (False,):
            window: dict[str, Value] = {"start": 0.8 if late else 0.0} if entry.name in LATE else {}
            label = f"{entry.name} late" if late else entry.name
            yield f"baseline + {label}", changed(space, plain, {entry.name: window})
            if entry.name in ALSO:
                yield f"{STRONG} + {label}", changed(space, strong, {entry.name: window})
    for name in PUBLISHED:
        yield name, space.closest(wish(load_space("long_tail.yaml", [
            f"start=[baseline, {{name: {name}, without: [step]}}]", "training.precision=fp32"]).start[name]))
    for place in range(DRAWS):
        yield f"draw-{place:03d}", drawn(space, random.Random(f"trickbench/{place}"))
    for place, found in enumerate(json.loads(CHAMPIONS.read_text("utf-8"))):
        bundle = bundle_from({"model": {"name": "resnet8"}, **found, "training": {"epochs": EPOCHS, "batch_size": 64}})
        yield f"{CHAMPION} {found['set']} {place}", space.closest(wish(bundle))


def found_on(label: str) -> str:
    """Return the set on which a search found a bundle; empty where it was made otherwise."""
    return label.removeprefix(CHAMPION).split()[0] if label.startswith(CHAMPION) else ""


def wish(bundle: Bundle) -> Wishes:
    """Return a bundle as a wish."""
    return {use.trick.name: {**use.trick.values(), "start": use.window.start, "stop": use.window.stop}
            for use in bundle.uses}


def changed(space: Space, base: Wishes, added: Mapping[str, Mapping[str, Value]]) -> Bundle:
    """Return a wish with other values, and without what cannot meet a trick that is added."""
    listed = {entry.name: entry for entry in space.entries}
    new = [listed[name].widest() for name in added if name not in base]
    kept = {name: values for name, values in base.items()
            if name in added or not any(clash(listed[name].widest(), use, True) for use in new)}
    return space.closest({**kept, **{name: {**base.get(name, {}), **values} for name, values in added.items()}})


def drawn(space: Space, chance: random.Random) -> Bundle:
    """Return a bundle of a few tricks: one in sixteen of those that may be, one seat in five; SGD as often as not."""
    def pick(name: str, domain: Domain) -> Value:
        if isinstance(domain, Taken):
            return chance.random() < 0.2
        if domain == Choice(False, True) and "." not in name:
            return chance.random() < 0.06
        if name == "optimizer.base":
            return chance.choice(["sgd", "sgd", "sgd", "adam", "adamw", "adabound"])
        return anywhere(domain, chance)
    return space.draw(pick)


def anywhere(domain: Domain, chance: random.Random) -> Value:
    """Return any value of a domain, evenly, in the logarithm where it says so."""
    if isinstance(domain, Choice):
        return chance.choice(domain.options)
    if isinstance(domain, Int):
        return chance.randint(domain.low, domain.high)
    assert isinstance(domain, Float)
    if domain.log:
        return math.exp(chance.uniform(math.log(domain.low), math.log(domain.high)))
    return chance.uniform(domain.low, domain.high)

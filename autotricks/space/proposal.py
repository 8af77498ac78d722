"""Proposal: a space for data that have been looked at, with the reason for every value that is chosen."""
from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.plan import unsuited
from ..core.task import Task
from ..core.traits import DataTrait, Trait
from ..core.trick import Trick
from ..core.weights import DEFAULT
from ..data import long_tail
from ..data.fitting import Size, sides
from ..data.survey import SIZES
from ..export.bundle import flow
from ..tasks import find as find_task
from ..tricks.catalog import catalog
from . import object_proposal
from .document import NAME
from .files import find_file
from .load import LoadedSpace, load_space
from .recommendation import Suited, compare
from .sections import VALIDATION, DataSection
from .weights import wanted

GRAY = ("1", "L", "LA", "F", "I")                # modes of files that become gray images, as those that begin with I;
SIDE_OF_OURS = 64                                # pixels up to which our own networks are made
SIDES = {(True, True): 224, (True, False): 128,  # most pixels a side, by published weights and a GPU
         (False, True): 224, (False, False): 64}
EPOCHS = ((1_000, 60), (10_000, 40), (100_000, 30))     # from scratch, of fewer training images than this
FEWEST_EPOCHS = 20
BATCHES = (128, 64, 32)
SMALLEST_BATCH = 16
STEPS = 25                                       # of an epoch, at least, by which a batch is chosen
IMBALANCED = 1.5                                 # largest class / smallest, from which on classes are to count alike
PLAIN = "accuracy"                               # of which each image is as large a part as any other
WIDE = 1.1                                       # longer side / shorter side, from which on it is said what is cut off
LINE = 118                                       # characters of a comment
KEYS = ("data", "model", "training", "objective", "search", "resources", "start")


@dataclass(frozen=True)
class Machine:
    """What there is to train on.

    Args:
        cores: Of the CPU.
        gpus: Number of them.
        holds: Whether the published weights of a model are in the cache.
    """

    cores: int
    gpus: int
    holds: Callable[[str], bool]


@dataclass(frozen=True)
class Proposal:
    """A space for some data.

    Args:
        base: The space that ships and that it begins with.
        why: Why that one.
        sections: Values of each section of the file.
        reasons: A line of each section: why these values.
        tricks: The lines of the file that list the tricks.
        absent: Models whose published weights would be of use and are not on this machine.
    """

    base: str
    why: str
    sections: Mapping[str, Any]
    reasons: Mapping[str, str]
    tricks: str
    absent: tuple[str, ...]

    def text(self, name: str, header: Sequence[str]) -> str:
        """Return the file; `header` is what its first comment says."""
        lines = [comment for line in header for comment in _comment(line)] + [f"name: {name}"]
        for key in KEYS:
            lines += [*_comment(self.reasons[key]), f"{key + ':':<10} {flow(self.sections[key])}"]
        return "\n".join(lines) + f"\n{self.tricks}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, LINE, initial_indent="# ", subsequent_indent="#   ", break_long_words=False,
                         break_on_hyphens=False)


@dataclass(frozen=True)
class _Base:
    """The space that a proposal begins with.

    Args:
        suited: Why it is that one.
        loaded: What it holds.
        models: Those of it whose published weights are on this machine.
        absent: Models of a space that suits better, whose weights are not.
    """

    suited: Suited
    loaded: LoadedSpace
    models: tuple[str, ...]
    absent: tuple[str, ...]


def propose(facts: Mapping[str, Any], data: DataSection, machine: Machine) -> Proposal:
    """Return a space for data.

    Args:
        facts: From `data.survey`, of data that training takes.
        data: The section by which they were looked at.
        machine: What there is to train on.
    """
    facts = {**facts, "imbalance": data.imbalance.factor} if data.imbalance else facts
    base = _base(facts, machine)
    task = find_task(data.task)
    boxes = DataTrait.BOXES in task.brings
    count = trained_on(facts, data)
    chosen: dict[str, tuple[Any, str]] = {}
    chosen["data"] = (_data_of_objects(facts, data, machine) if boxes else
                      _data(facts, data, SIDES[bool(base.models), machine.gpus > 0], bool(base.models)))
    side = max(sides(chosen["data"][0].get("size") or facts["side"]))
    chosen["model"] = (object_proposal.detector(side, count, machine.gpus) if boxes and not base.models else
                       _model(base, side, machine))
    chosen["training"] = object_proposal.training(count) if boxes else _training(base, count)
    chosen["objective"] = _objective(facts, task)
    chosen["search"] = _search(base.loaded, chosen["training"][0]["epochs"], machine)
    chosen["resources"] = _resources(machine)
    chosen["start"] = _start(base, task)
    return Proposal(base.suited.space, "; ".join(base.suited.why), {key: value for key, (value, _) in chosen.items()},
                    {key: why for key, (_, why) in chosen.items()}, _tricks(base, task), base.absent)


def space_name(source: str) -> str:
    """Return a name for a space on a source: that of its file, folder or function."""
    word, _, location = source.partition(":")
    stem = Path(location or word).expanduser().resolve().stem if location else word
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:64]
    return name if NAME.fullmatch(name) else "my_space"


def trained_on(facts: Mapping[str, Any], data: DataSection) -> int:
    """Return about how many images there are to train on, without those that are set aside or taken for a long tail."""
    part = math.prod(1 - fraction for _, fraction in _set_aside(facts, data))
    if data.imbalance is None:
        return round(facts["split_images"]["train"] * part)
    counts = sorted((count * part for count in facts["counts"]["train"]), reverse=True)
    kept = long_tail.sizes(round(counts[0]), len(counts), data.imbalance.factor)
    return round(sum(min(count, most) for count, most in zip(counts, kept, strict=True)))


def _set_aside(facts: Mapping[str, Any], data: DataSection) -> list[tuple[str, float]]:
    """Return the splits that are cut from the training images, in order, and which fraction of what is left then."""
    fractions = (("test", data.test), ("validation", data.validation))
    return [(split, fraction) for split, fraction in fractions if split not in facts["split_images"]]


def _base(facts: Mapping[str, Any], machine: Machine) -> _Base:
    """Return the space to begin with: the first that fits, and whose published weights are here if it wants some.

    Of two that are as particular, the one that needs no GPU comes first where there is none.
    """
    listed = [(one, load_space(one.space)) for one in compare(facts)]
    listed.sort(key=lambda pair: (not pair[0].fits, -len(pair[0].why) if pair[0].fits else 0,
                                  pair[1].document.resources.gpus > machine.gpus))
    absent: tuple[str, ...] = ()
    for suited, loaded in listed:
        named = loaded.document.model.names if DEFAULT in wanted(loaded) else ()
        models = tuple(name for name in named if machine.holds(name))
        if models or not named:
            return _Base(suited, loaded, models, absent)
        absent = absent or named
    return _Base(*listed[0], (), absent)    # less the tricks that are about weights


def _data(facts: Mapping[str, Any], data: DataSection, most: int, weights: bool) -> tuple[dict[str, Any], str]:
    """Return the data section, with the size that the images suggest, at most `most` pixels a side.

    Published weights bring a size of their own where none is said.
    """
    section = data.model_dump(mode="json", exclude_defaults=True)
    width, height = facts["sizes"]["median"]
    one = facts["sizes"]["distinct"] == 1
    here = f"Images are {width} x {height}" if one else f"Half of the images have {facts['side']} pixels or more a side"
    if "size" in section:
        why = f"{here}; data.size is as you set it."
    elif one and facts["side"] <= most and (width == height or not weights):
        why = f"{here}, and are taken as they are."
        if weights or (width == height and "array" not in facts["formats"]):
            section |= _pixels(facts, data, facts["side"], weights)
    else:
        size = min(facts["size"] or next((size for size in SIZES if size <= facts["side"]), facts["side"]), most)
        section |= _pixels(facts, data, size, weights)
        why = f"{here}; {size} " + ("a side keep a training short, more may show more." if size == most else
                                    "is the usual size next to that.")
    if section.get("size") and "fit" not in section and max(width, height) > WIDE * min(width, height):
        part = min(width, height) / max(width, height)
        why += f" The middle of {width} x {height} is taken, {part:.0%} of it; data.fit: pad or squash takes all."
    return {"source": data.source, **section}, why + _cuts(facts, data)


def _data_of_objects(facts: Mapping[str, Any], data: DataSection, machine: Machine) -> tuple[dict[str, Any], str]:
    """Return the data section of a source in which objects are to be found."""
    section = data.model_dump(mode="json", exclude_defaults=True)
    width, height = facts["sizes"]["median"]
    why = (f"Images are {width} x {height}" if facts["sizes"]["distinct"] == 1 else
           f"Half of the images have {max(width, height)} pixels or more on the longer side")
    if "size" in section:
        why += "; data.size is as you set it."
    else:
        brought, reason = object_proposal.size(facts, machine.gpus)
        if brought:
            section = {**brought, **section, **_pixels(facts, data, brought["size"], False)}
        why += f", {reason}"
    return {"source": data.source, **section}, why + _cuts(facts, data)


def _cuts(facts: Mapping[str, Any], data: DataSection) -> str:
    """Return a sentence that says what is cut from the training images; nothing where nothing is."""
    cuts = [f"{fraction:.0%} are set aside for {split}" for split, fraction in _set_aside(facts, data)]
    return f" Of train, {' and then '.join(cuts)}." if cuts else ""


def _pixels(facts: Mapping[str, Any], data: DataSection, size: Size, weights: bool) -> dict[str, Any]:
    """Return size and channels, which let `check` try the model without reading the images; weights want color."""
    gray = all(mode in GRAY or mode.startswith("I;") for mode in facts["modes"])
    return {"size": size, "channels": data.channels or (1 if gray and not weights else 3)}


def _model(base: _Base, side: int, machine: Machine) -> tuple[dict[str, Any], str]:
    if base.models:
        section = base.loaded.document.model
        name: Any = {"choice": list(base.models)} if len(base.models) > 1 else base.models[0]
        left = len(section.names) - len(base.models)
        more = f"; {base.suited.space} has {left} models more, whose weights are not" if left else ""
        begins = {"pretrained": True} if section.begins else {}
        return {"name": name, **begins}, f"Published weights are on this machine{more}."
    if side > SIDE_OF_OURS:
        return {"name": "timm:resnet18"}, (
            f"From scratch, a network for images of {side} pixels; resnet8 to resnet56 are for up to {SIDE_OF_OURS}.")
    if machine.gpus:
        return {"name": "resnet20"}, f"From scratch, a network made for images of up to {SIDE_OF_OURS} pixels."
    return {"name": "resnet8"}, (f"From scratch, the smallest network made for images of up to {SIDE_OF_OURS} pixels; "
                                 "resnet20 takes three times as long.")


def _training(base: _Base, count: int) -> tuple[dict[str, Any], str]:
    batch = next((size for size in BATCHES if count >= STEPS * size), SMALLEST_BATCH)
    epochs = base.loaded.document.training.epochs
    if base.models:
        batch = min(batch, base.loaded.document.training.batch_size)
    else:
        epochs = next((number for images, number in EPOCHS if count < images), FEWEST_EPOCHS)
    steps = -(-count // batch)
    begun = "published weights need few epochs" if base.models else "the fewer images, the more epochs"
    return {"epochs": epochs, "batch_size": batch}, (
        f"{count:,} images to train on: {steps:,} steps an epoch, {steps * epochs:,} in all; {begun}.")


def _objective(facts: Mapping[str, Any], task: Task) -> tuple[dict[str, Any], str]:
    what = "objects" if facts["objects"] else "images"
    figure = f"The largest class has {facts['imbalance']:.3g} times the {what} of the smallest"
    plain = facts["imbalance"] < IMBALANCED and any(metric.name == PLAIN for metric in task.metrics)
    return {"metric": f"{VALIDATION}/{PLAIN if plain else task.objective}"}, (
        f"{figure}: every {'image' if plain else 'class'} counts alike.")


def _search(base: LoadedSpace, epochs: int, machine: Machine) -> tuple[dict[str, Any], str]:
    search = base.document.search
    length: dict[str, Any] = {"trials": search.trials}
    spent = f"{search.trials} trials"
    if search.trainings is not None:
        length = {"trainings": int(search.trainings), **length}
        spent = f"The epochs of {search.trainings:g} full trainings, at most {search.trials} trials"
    rungs = {"first": max(1, epochs // 9), "reduction": 3, "fidelity": search.rungs.fidelity}
    return {**length, "sampler": search.sampler, "rungs": rungs}, (
        f"{spent}; " + ("processes of this machine, without Ray." if machine.gpus <= 1 else
                        "Ray shares the GPUs out."))


def _resources(machine: Machine) -> tuple[dict[str, Any], str]:
    if machine.gpus:
        cpus = min(4, max(1, machine.cores // machine.gpus))
        return {"cpus": cpus, "gpus": 1}, f"A GPU for each trial, of {machine.gpus}, and cores that read images."
    return {"cpus": 1, "gpus": 0}, f"No GPU; one core for each trial, so that {machine.cores} train side by side."


def _start(base: _Base, task: Task) -> tuple[list[Any], str]:
    """Return the start bundles that the task allows, as a file lists them; without weights where none are here."""
    start: list[Any] = []
    for item in base.loaded.document.start:
        tricks = [type(use.trick) for use in base.loaded.start[item.name].uses]
        if any(unsuited(trick, task.brings) for trick in tricks):
            continue
        without = [*item.without, *(trick.name for trick in tricks if not base.models and _of_weights(trick))]
        start.append({"name": item.name, "without": without} if without else item.name)
    return start, "Plain training runs first" + (", then what is published for such data." if len(start) > 1 else ".")


def _tricks(base: _Base, task: Task) -> str:
    """Return the lines of a space that list its tricks, with their comments, without those that cannot be used."""
    _, _, listed = find_file(base.suited.space).read_text("utf-8").partition("\ntricks:\n")
    kept: list[str] = []
    useless = False
    for line in reversed(listed.splitlines(keepends=True)):
        about_useless = line.lstrip().startswith("#") and useless     # what a comment is about comes after it
        useless = about_useless or _useless(line, base, task)
        kept += [] if useless else [line]
    return "tricks:\n" + "".join(reversed(kept))


def _useless(line: str, base: _Base, task: Task) -> bool:
    """Return whether a line lists a trick that the task refuses, or that is about weights where there are none."""
    named = re.match(r"  (\w+):", line)
    if named is None:
        return False
    trick = catalog()[named[1]]
    return bool(unsuited(trick, task.brings)) or (not base.models and _of_weights(trick))


def _of_weights(trick: type[Trick]) -> bool:
    return Trait.PRETRAINED in trick.provides | trick.requires

"""What every trick of the catalog promises; a new trick is found and held to it by itself."""
import ast
import inspect
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import unsuited
from autotricks.core.slots import PHASED
from autotricks.core.traits import DataTrait
from autotricks.errors import BundleError
from autotricks.testing import (
    MIDWAY,
    POINTS,
    Contract,
    Waiting,
    check_trick,
    companions,
    different,
    striped,
    striped_scenes,
    striped_sets,
    weights,
)
from autotricks.trial import prepare
from autotricks.tricks.catalog import bundle_from, catalog

NAMES = tuple(catalog())
SUITED = tuple(name for name, trick in catalog().items() if DataTrait.BOXES not in trick.requires_data)
WINDOWED = tuple(name for name, trick in catalog().items() if set(trick.seats) <= PHASED)


@cache
def images():
    """What `check_trick` takes unless told, with fewer images to validate on, of which a trick sees nothing."""
    whole = striped()
    return replace(whole, validation=whole.validation.take(torch.arange(0, len(whole.validation), 4)))


def test_there_are_tricks_to_hold_to_it():
    assert {"sgd", "cosine", "cross_entropy", "instance"} <= set(NAMES)
    assert {"cross_entropy", "instance"} <= set(WINDOWED) and "sgd" not in WINDOWED
    assert len(POINTS) == 7


@pytest.mark.parametrize("name", SUITED)
def test_every_trick(name):
    """Each point of the contract; what is not kept is told point by point."""
    check_trick(catalog()[name], images())


SETS = ("binary_cross_entropy", "asymmetric", "class_balanced", "square_root", "progressive", "repeat_factor", "mixup",
        "cutmix", "ricap", "manifold_mixup", "mixup_cutmix", "repeated_augmentation")


@cache
def sets():
    """Images with any number of labels."""
    whole = striped_sets()
    return replace(whole, validation=whole.validation.take(torch.arange(0, len(whole.validation), 4)))


@pytest.mark.parametrize("name", [name if name in SETS else pytest.param(name, marks=pytest.mark.slow)
                                  for name in SUITED])
def test_every_trick_on_sets_of_labels(name):
    """Each point of the contract again, or a refusal that says what is lacking; by default where labels are read."""
    trick = catalog()[name]
    if DataTrait.ONE_LABEL not in trick.requires_data:
        check_trick(trick, sets())
        return
    with pytest.raises(BundleError, match=f"{name} requires data with one label an image"):
        prepare(Bundle((Use(trick()), *companions(trick)), epochs=2, batch_size=16), sets())


DETECTOR = "fcos:resnet8"
SLOW = Use(catalog()["sgd"](lr=0.01))      # as detectors are trained; at the default the loss leaps at first


@cache
def scenes():
    """Images with objects in them."""
    whole = striped_scenes(count=32)
    return replace(whole, validation=whole.validation.take(torch.arange(0, len(whole.validation), 4)))


def refused(trick, dataset):
    return [conflict.text for conflict in unsuited(trick, dataset.traits)]


@pytest.mark.parametrize("name", [
    name if DataTrait.BOXES in trick.requires_data else pytest.param(name, marks=pytest.mark.slow)
    for name, trick in catalog().items() if not refused(trick, scenes())])
def test_every_trick_on_scenes(name):
    """Each point of the contract where objects are to be found; by default of those that are there for nothing else."""
    check_trick(catalog()[name], scenes(), DETECTOR, beside=(SLOW,))


def test_what_is_for_one_label_or_a_whole_image_refuses_scenes():
    names = [name for name, trick in catalog().items() if refused(trick, scenes())]
    assert {"cross_entropy", "cosine_head", "cutmix", "tau_normalization"} <= set(names)
    assert not {"adamw", "cosine", "ema", "sam", "crop", "layer_decay", "head_lr", "pretrained"} & set(names)
    for name in names:
        with pytest.raises(BundleError, match=f"{name} (requires data with|cannot be used with data that have) "):
            prepare(Bundle((Use(catalog()[name]()),), DETECTOR), scenes())


def test_survives_the_way_through_a_bundle_file():
    found = []
    for name in NAMES:
        window = {"window": MIDWAY} if name in WINDOWED else {}
        written = Bundle((Use(catalog()[name](), **window), *companions(catalog()[name])), epochs=2, batch_size=16)
        read = bundle_from(written.document())
        if read != written or read.hash != written.hash:
            found.append(f"{name}: {written.document()} becomes {read.document()}")
    assert not found, "\n".join(found)


def test_each_file_is_short_and_holds_its_trick_alone():
    found = []
    for name in NAMES:
        path = Path(inspect.getsourcefile(catalog()[name]))
        text = path.read_text(encoding="utf-8")
        public = [node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        lines = len(text.splitlines())
        if lines > 120 or public != [catalog()[name].__name__] or path.stem != name:
            found.append(f"{name}: {path} has {lines} lines, at most 120 are allowed, and holds {', '.join(public)}")
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WINDOWED if name in SUITED])
def test_the_same_where_it_is_active_from_start_to_end(name):
    Contract(catalog()[name], images(), whole=True).is_the_same_from_the_same_seed_and_from_a_checkpoint()


def with_empty_windows(names, dataset, model):
    uses = tuple(Use(catalog()[name](), Window(0.25, 0.25)) for name in names)
    trainer = prepare(Bundle(uses, model, epochs=2, batch_size=16), dataset)
    list(trainer.epochs())
    return weights(trainer)


def test_an_empty_window_changes_nothing():
    """The trainer's promise, with all tricks that may have a window at once."""
    for dataset, model in ((images(), Bundle.model), (scenes(), DETECTOR)):
        names = [name for name in WINDOWED if not refused(catalog()[name], dataset)]
        assert different(with_empty_windows(names, dataset, model), with_empty_windows((), dataset, model)) == []


@pytest.mark.parametrize("read", [
    torch.Tensor.item, torch.Tensor.tolist, float, bool, torch.Tensor.cpu, torch.Tensor.nonzero,
    lambda one: torch.arange(1)[one > 0], lambda one: torch.where(one > 0)])
def test_waiting_is_seen(read):
    one = torch.ones(1)
    with Waiting() as waiting:
        torch.where(one > 0, one, 0.0)[torch.arange(1)] + one.sum()
        assert waiting.calls == [] and not one.is_cpu
        read(one)
    assert len(waiting.calls) == 1

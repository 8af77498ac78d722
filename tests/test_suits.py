"""Tricks that do not suit the model are named by `check`: those, and only those, that would end a trial as failed."""
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from autotricks.errors import InputError, ModelError
from autotricks.probes import compatibility
from autotricks.space import load_space
from autotricks.trial import run_trial
from autotricks.tricks.catalog import catalog
from autotricks.workflows import search as experiment

from .conftest import make_dataset
from .space.made import write

LINEAR = """import torch

class Flat(torch.nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.layer = torch.nn.Linear(channels * 64, classes)

    def forward(self, images):
        return self.layer(images.flatten(1))

def flat(classes, channels):
    return Flat(classes, channels)
"""
NEEDS_FILES = {"pretrained", "group_head", "distillation", "dive", "torch_compile"}


@pytest.fixture
def linear(tmp_path, monkeypatch):
    (tmp_path / "flat_model.py").write_text(LINEAR)
    monkeypatch.syspath_prepend(tmp_path)
    yield "flat_model:flat"
    sys.modules.pop("flat_model", None)


def blamed(loaded):
    """The tricks that `check` says do not suit."""
    try:
        assert compatibility.require_suited(loaded, trust=True) is None
    except ModelError as error:
        return {line.partition("  tricks.")[2].partition(":")[0] for line in error.problems}
    return set()


@pytest.mark.slow    # whole trainings of every trick; the tests below hold the lines of some
def test_what_is_blamed_is_what_fails_when_it_is_trained(tmp_path, linear):
    """Every trick of the catalog on a model with neither convolutions nor norms nor features, against real training."""
    names = [name for name in catalog() if name not in NEEDS_FILES]
    head = (f"name: all\nadvice: ignore\nmodel: {{name: {linear}}}\ntraining: {{epochs: 1, batch_size: 8}}\n"
            "search: {rungs: {first: 1}}\ntricks:\n")
    path = write(tmp_path, head + "".join(f"  {name}: {{}}\n" for name in names))
    loaded, data, failed = load_space(path, trust=True), make_dataset(counts=(8, 8, 4)), set()
    for entry in loaded.space.entries:
        for bundle in compatibility.alone(loaded.space, entry):
            try:
                run_trial(replace(bundle, epochs=2), data, trust=True)
            except InputError:
                failed.add(entry.name)
    assert 15 < len(failed) < 60
    assert blamed(loaded) == failed


def test_the_command_refuses_them_with_their_places(tmp_path, linear, monkeypatch, capsys):
    from autotricks import cli
    tricks = "tricks:\n  sgd: {}\n  group_norm: {}\n  gem: {}\n"
    path = write(tmp_path, f"name: demo\nmodel: {{name: {linear}}}\n{tricks}")
    monkeypatch.setattr(sys, "argv", ["autotricks", "check", str(path), "--trust"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr()
    assert stop.value.code == 2 and said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith(f"{path}:5:3  tricks.group_norm: ") and "no batch norm" in first
    assert second.startswith(f"{path}:6:3  tricks.gem: ")


@pytest.mark.parametrize(("model", "size", "said"), [
    ("timm:vit_tiny_patch16_224", 8, ["cannot take images of 8x8 pixels and 1 channel: ", "Kernel size can't be "
                                      "greater than actual input size. Set data.size and data.channels to what it "
                                      "takes, or take another model."]),
    ("torchvision:resnet18", 8, ["takes images of 3 channels, these have 1. Set data.channels: 3, or take the "
                                 "model from timm."]),
    ("flat_model:flat", 16, ["cannot take images of 16x16 pixels and 1 channel: ", "shapes cannot be multiplied (2x256 "
                             "and 64x10). Set data.size and"])])
def test_a_model_that_cannot_take_the_images_is_said_once(tmp_path, linear, model, size, said):
    """By check, and by a search before it has a folder."""
    path = write(tmp_path, f"name: demo\nmodel: {{name: '{model}'}}\ndata: {{size: {size}}}\n"
                           "search: {engine: local}\ntricks: {sgd: {}, mixup: {}}\n")
    for ask in (lambda loaded: compatibility.require_suited(loaded, trust=True), lambda loaded: experiment.search(
            loaded, experiment.Options(tmp_path / "runs", tracking="off", trust=True))):
        with pytest.raises(ModelError) as caught:
            ask(load_space(path, trust=True))
        (line,) = caught.value.problems
        assert line.startswith(f"{path}:2:9  model.name: {model} ") and all(words in line for words in said)
    assert not (tmp_path / "runs").exists()


def test_the_model_is_tried_as_the_baseline_changes_it(tmp_path, linear, monkeypatch):
    """What is always there may be what lets the model take the images."""
    from autotricks.tricks.gradients.gradient_clipping import GradientClipping

    monkeypatch.setattr(GradientClipping, "enter", lambda self, run: setattr(
        run.model, "layer", torch.nn.Linear(256, 10)))
    head = f"name: demo\nmodel: {{name: '{linear}'}}\ndata: {{size: 16}}\n"
    always = load_space(write(tmp_path, f"{head}tricks: {{gradient_clipping: {{always: true}}}}\n"), trust=True)
    assert compatibility.require_model(always, (1, 16, 16), trust=True) is None
    with pytest.raises(ModelError, match="cannot take images of 16x16"):
        loaded = load_space(write(tmp_path, f"{head}tricks: {{gradient_clipping: {{}}}}\n"), trust=True)
        compatibility.require_model(loaded, (1, 16, 16), trust=True)


def test_on_images_too_large_to_try_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(compatibility, "prepare", lambda *arguments, **options: pytest.fail("tried"))
    told = compatibility.require_suited(load_space("long_tail.yaml", ["data.size=4096", "data.channels=3"]))
    assert told.startswith("whether the tricks suit model and images: 4096x4096 pixels are too many to try it on")


@pytest.mark.parametrize(("choice", "said"), [
    ("b, d", None), ("b, d, c", "has no first convolution of 7x7"), ("d, a", "has no bottleneck of three convolut")])
def test_a_choice_is_tried_value_by_value(tmp_path, choice, said):
    path = write(tmp_path, f"name: demo\ntricks:\n  sgd: {{}}\n  resnet_variant: {{variant: {{choice: [{choice}]}}}}\n")
    if said is None:
        assert compatibility.require_suited(load_space(path)) is None
        return
    with pytest.raises(ModelError, match=said) as caught:
        compatibility.require_suited(load_space(path))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(("sides", "shape"), [((5, 9, 8), (1, 9, 8)), ((5, 9, 8, 3), (3, 9, 8))])
def test_the_shape_of_an_archive_is_read_from_its_header(tmp_path, sides, shape):
    np.savez_compressed(tmp_path / "x.npz", x_train=np.zeros(sides, np.uint8), y_train=np.zeros(5, np.int64))
    settings = load_space("long_tail.yaml", [f"data.source=npz:{tmp_path}/x.npz"]).document.data.settings()
    assert compatibility.shape_of(settings) == shape
    assert compatibility.shape_of(replace(settings, size=4, channels=1)) == (1, 4, 4)


def test_what_does_not_suit_together_is_found_too(tmp_path, linear, monkeypatch):
    """Two tricks that each suit, the one before the other not: the first takes away what the second looks for."""
    from autotricks.tricks.gradients.gradient_clipping import GradientClipping

    def check(self, run):
        if any(group_norm for group_norm in run.model.modules() if isinstance(group_norm, torch.nn.GroupNorm)):
            raise ModelError("gradient_clipping: cannot clip group norms.")
    text = "name: demo\ntricks:\n  sgd: {}\n  group_norm: {}\n  gradient_clipping: {}\n"
    path = write(tmp_path, text)
    assert compatibility.require_suited(load_space(path)) is None
    monkeypatch.setattr(GradientClipping, "check", check)
    with pytest.raises(ModelError, match=r"space.yaml:2:1  tricks: gradient_clipping: cannot clip"):
        compatibility.require_suited(load_space(path))


def test_where_the_shape_is_not_known_it_says_so():
    told = compatibility.require_suited(load_space("long_tail.yaml", ["data.source=image_folder:nowhere"]))
    assert "image_folder:nowhere" in told and "data.size" in told

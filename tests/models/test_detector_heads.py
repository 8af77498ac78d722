"""Tricks that tell what was trained before from what is new know which part of a detector is which."""
import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.weights import Weights
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.models.dense import build_detector
from autotricks.nn.classifier import classifier, head_weights
from autotricks.nn.depth import levels_of
from autotricks.nn.pretrained import begin_with
from autotricks.testing import striped_scenes
from autotricks.trial import prepare
from autotricks.tricks.catalog import make

CLASSES = 4
DETECTOR = "fcos:resnet8"


def trainer_with(**tricks):
    uses = tuple(make(name, values) for name, values in tricks.items())
    made = prepare(Bundle(uses, DETECTOR, epochs=4, batch_size=16), striped_scenes(count=32))
    for phase in made.plan.phases[:1]:
        made.enter(phase)
    return made


def test_all_but_the_backbone_is_new():
    model = build_detector(DETECTOR, CLASSES, 1)
    assert classifier(model, CLASSES) == "head" and classifier(build_detector(DETECTOR, 1, 1), 1) == "head"
    new = head_weights(model, CLASSES)
    assert {name.split(".")[0] for name in new} == {
        "further", "neck", "tower", "norms", "head", "center", "edges", "scales"}
    assert {name.split(".")[0] for name, _ in model.named_parameters() if name not in new} == {"backbone"}


def test_of_a_classifier_it_is_its_last_layer():
    assert set(head_weights(build("resnet8", 4, 1), 4)) == {"head.weight", "head.bias"}


def test_layers_of_a_detector_are_those_of_its_backbone_and_one_more():
    level = levels_of(build_detector(DETECTOR, CLASSES, 1), CLASSES)
    # the stem, three blocks, and all that is new
    assert {level[name] for name in level if name.startswith(("backbone.stem", "backbone.bn"))} == {0}
    assert [level[f"backbone.layers.{number}.conv1.weight"] for number in range(3)] == [1, 2, 3]
    assert {level[name] for name in level if not name.startswith("backbone.")} == {4}


def rates(trainer):
    names = {weight: name for name, weight in trainer.run.model.named_parameters()}
    return {names[weight]: group["lr"] for group in trainer.optimizer.param_groups for weight in group["params"]}


def test_what_is_new_learns_faster_and_the_stem_slowest():
    found = rates(trainer_with(sgd={"lr": 0.01}, head_lr={"factor": 10.0}))
    assert [found[name] for name in ("head.bias", "edges.weight", "scales")] == pytest.approx([0.1] * 3)
    assert found["backbone.stem.weight"] == 0.01
    found = rates(trainer_with(sgd={"lr": 0.01}, layer_decay={"decay": 0.5}))
    assert [found[name] for name in ("head.bias", "backbone.layers.2.conv1.weight", "backbone.stem.weight")] == (
        pytest.approx([0.01, 0.005, 0.000625]))


@pytest.mark.parametrize(("name", "below"), [("linear_probe", set()), ("bitfit", {"bias"}), ("norm_only", {"bn"})])
def test_what_is_new_is_trained_and_of_the_backbone_no_more_than_said(name, below):
    trainer = trainer_with(pretrained={}, **{name: {}})
    trained = {key for key, weight in trainer.run.model.named_parameters() if weight.requires_grad}
    new = set(head_weights(trainer.run.model, CLASSES))
    assert new <= trained
    inside = trained - new
    assert bool(inside) == bool(below)
    assert all(any(word in key for word in below) for key in inside)
    before = {key: weight.clone() for key, weight in trainer.run.model.named_parameters()}
    trainer.step(next(trainer.rows(1, 0)))
    moved = {key for key, weight in trainer.run.model.named_parameters() if not torch.equal(weight, before[key])}
    assert moved <= trained and {"head.weight", "center.bias", "edges.weight"} <= moved


def test_weights_are_pulled_to_where_the_backbone_began():
    trainer = trainer_with(pretrained={}, l2_sp={})
    kept = {key.removeprefix("l2_sp.") for key in trainer.run.memory if key.startswith("l2_sp.")}
    assert kept == {name for name, _ in trainer.run.model.named_parameters() if name.startswith("backbone.")}


def test_drawing_anew_leaves_what_begins_so_that_nearly_nothing_is_found():
    plain, drawn = (trainer_with(**tricks).run.model.state_dict() for tricks in ({}, {"kaiming": {}}))
    differing = {name for name, value in plain.items() if not torch.equal(value, drawn[name])}
    assert "backbone.stem.weight" in differing and {name.split(".")[0] for name in differing} == {"backbone"}


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "timm:convnext_atto"])
def test_weights_of_a_classifier_fill_the_backbone(name):
    torch.manual_seed(1)
    file = build(name, 7, 3).state_dict()
    torch.manual_seed(2)
    model = build_detector(f"fcos:{name}", CLASSES, 3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    begin_with(model, Weights("a file", file), CLASSES)
    images = torch.randn(2, 3, 64, 64)
    torch.manual_seed(1)
    whole = build_detector(f"fcos:{name}", CLASSES, 3).backbone
    folded = {key.replace("stages.", "stages_").replace("stem.", "stem_") if "convnext" in name else key: value
              for key, value in file.items()}
    whole.load_state_dict({key: folded[key] for key in whole.state_dict()})
    with torch.no_grad():
        for ours, theirs in zip(model.eval().backbone(images), whole.eval()(images), strict=True):
            assert torch.equal(ours, theirs)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in changed} == {"backbone"}


def test_weights_of_a_detector_fill_it_all_but_the_classes():
    torch.manual_seed(1)
    file = build_detector(DETECTOR, 7, 1).state_dict()
    model = begin_with(build_detector(DETECTOR, CLASSES, 1), Weights("a file", file), CLASSES)
    found = model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in file.items() if not name.startswith("head."))
    assert found["head.weight"].shape[0] == CLASSES


def test_weights_of_another_classifier_are_refused_with_names():
    file = build("resnet20", 7, 1).state_dict()
    with pytest.raises(ModelError, match=r"a file: \d+ of 42 weights of Features do not fit, and \d+ of the file"):
        begin_with(build_detector(DETECTOR, CLASSES, 1), Weights("a file", file), CLASSES)


@pytest.mark.parametrize("trick", ["classifier_retraining", "head_init", "dropout", "bnneck", "cosine_head"])
def test_tricks_of_a_linear_classifier_refuse_boxes(trick):
    with pytest.raises(BundleError, match=f"{trick} cannot be used with data that have boxes"):
        prepare(Bundle((Use(make(trick, {}).trick),), DETECTOR), striped_scenes(count=32))

"""The rows of He et al. 2019: each has what the one before it has, and the figure of its table."""
from pathlib import Path

import pytest

from autotricks.space import load_bundle_file, load_space
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import plan_of

FOLDER = Path(__file__).parents[1] / "search_spaces" / "published"
FILES = {path.stem.removeprefix("imagenet_"): path for path in FOLDER.glob("imagenet_*.yaml")}
# Top-1 accuracy, and what the row changes in the one before it; tables 3 to 6.
ROWS = {
    "baseline": (75.87, {}), "linear_scaling": (75.17, {"linear_scaling"}), "warmup": (75.93, {"warmup"}),
    "zero_gamma": (76.37, {"zero_gamma"}), "no_bias_decay": (76.03, {"no_bias_decay"}), "fp16": (76.21, {"fp16"}),
    "resnet_b": (76.66, {"resnet_variant"}), "resnet_c": (76.87, {"resnet_variant"}),
    "resnet_d": (77.16, {"resnet_variant"}), "cosine": (77.91, {"step_every", "cosine"}),
    "label_smoothing": (78.31, {"label_smoothing"}), "distillation": (78.67, {"distillation", "warm_restart"}),
    "mixup": (79.15, {"distillation", "warm_restart", "mixup"}),
    "mixup_distillation": (79.29, {"distillation", "warm_restart"})}


def tricks(name):
    return load_bundle_file(FILES[name]).bundle.document()["tricks"]


def test_every_row_has_its_file():
    assert set(FILES) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_its_figure_and_its_setting(name):
    loaded = load_bundle_file(FILES[name])
    assert loaded.document.published["imagenet_top_1"] == ROWS[name][0]
    assert loaded.bundle.model == "timm:resnet50" and plan_of(loaded.bundle, CLASSIFICATION).phases
    assert loaded.bundle.batch_size == (256 if name == "baseline" else 1024)
    assert loaded.bundle.epochs == (200 if "mixup" in name else 120), "training with mixup takes longer"


@pytest.mark.parametrize(("before", "name"), list(zip(list(ROWS), list(ROWS)[1:], strict=False)))
def test_a_row_changes_one_thing(before, name):
    left, right = tricks(before), tricks(name)
    changed = {trick for trick in {*left, *right} if left.get(trick) != right.get(trick)}
    assert changed == ROWS[name][1]


def test_variants_are_those_of_the_rows():
    variants = [tricks(name)["resnet_variant"]["variant"] for name in ROWS]
    assert variants == ["a"] * 6 + ["b", "c"] + ["d"] * 6


def test_the_baseline_drops_the_rate_at_30_60_and_90_of_120_epochs():
    assert tricks("baseline")["step_every"] == {"epochs": 30.0, "factor": 0.1}


def test_the_space_starts_with_every_row():
    assert {name.removeprefix("imagenet_") for name in load_space("image_classification.yaml").start} == {*ROWS}

"""The recipes of detectors are what their sources say."""
from pathlib import Path

import pytest

from autotricks.core.plan import problems
from autotricks.space import load_bundle_file
from autotricks.tasks.detection import DETECTION
from autotricks.tricks.catalog import plan_of

FOLDER = Path(__file__).parents[1] / "search_spaces" / "published"
# Epochs, batch size, figures, and what the source names with a figure; by hand.
RECIPES = {
    "fcos": (12, 16, {"ms_coco_resnext_101": 44.7}, {
        "sgd": {"lr": 0.01, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4},
        "step": {"first": 8 / 12, "second": 11 / 12, "factor": 0.1}, "warmup": {"epochs": 500 / 7500, "first": 1 / 3},
        "dense_focal": {"gamma": 2.0, "alpha": 0.25}, "giou": {"weight": 1.0}, "center_sampling": {"radius": 1.5},
        "hard_suppression": {"overlap": 0.6}, "flip": {}}),
    "rtmdet": (300, 256, {"ms_coco": 51.5}, {
        "adamw": {"lr": 0.004, "weight_decay": 0.05}, "ema": {"decay": 1 - 0.0002}, "no_bias_decay": {},
        "step_then_cosine": {"drop": 0.5, "switch": 0.5, "factor": 1.0, "final": 0.05},
        "mosaic": {"stop": 280 / 300}, "mixup": {"stop": 280 / 300}, "scale_jitter": {"smallest": 0.1, "largest": 2.0},
        "quality_focal": {"beta": 2.0}, "giou": {"weight": 2.0}, "hard_suppression": {"overlap": 0.65}, "flip": {}})}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_what_its_source_says(name):
    found = load_bundle_file(FOLDER / f"{name}.yaml")
    epochs, batch_size, figures, tricks = RECIPES[name]
    assert (found.bundle.epochs, found.bundle.batch_size) == (epochs, batch_size)
    assert {key: value for key, value in found.document.published.items() if key != "metric"} == figures
    written = found.bundle.document()["tricks"]
    for trick, values in tricks.items():
        assert {key: written[trick][key] for key in values} == pytest.approx(values, rel=1e-3), trick
    assert found.document.about and not problems(found.bundle.uses)
    assert plan_of(found.bundle, DETECTION, DETECTION.brings).phases


def test_without_tricks_every_seat_of_a_detector_is_taken():
    plan = plan_of(load_bundle_file(FOLDER / "fcos.yaml").bundle, DETECTION)
    names = {use.trick.name for phase in plan.phases for use in phase.uses} | {use.trick.name for use in plan.once}
    assert {"instance", "dense_focal", "giou", "center_sampling", "hard_suppression"} <= names

"""The recipes of fine-tuning, and those that published weights were trained by, are what their sources say."""
from pathlib import Path

import pytest

from autotricks.core.plan import problems
from autotricks.space import load_bundle_file
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import plan_of

FOLDER = Path(__file__).parents[1] / "search_spaces" / "published"
# Epochs, batch size, figures, optimizer with its values, and what else the source names with a figure; by hand.
RECIPES = {
    "asl": (80, 128, {"ms_coco": 86.6}, {"adam": {"lr": 1e-4, "weight_decay": 1e-4}}, {
        "asymmetric": {"positive": 0.0, "negative": 4.0, "margin": 0.05}, "ema": {"decay": 0.9997}, "no_bias_decay": {},
        "cutout": {"size": 0.5}, "one_cycle": {"pct_start": 0.2, "div_factor": 25.0, "final_div_factor": 1e4}}),
    "finetune_timm": (30, 32, {}, {"adamw": {"lr": 1e-4, "weight_decay": 0.01}}, {
        "warmup": {"epochs": 5.0, "first": 0.0}, "label_smoothing": {"epsilon": 0.1}, "no_bias_decay": {}}),
    "linear_probe": (100, 1024, {"imagenet_top_1": 75.3}, {
        "sgd": {"lr": 0.001, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}}, {
        "linear_scaling": {"base": 256}, "linear_probe": {"views": 8}, "head_init": {"std": 0.01, "bias": "zero"}}),
    "lp_ft": (25, 64, {"in_distribution": 1, "out_of_distribution": 10}, {
        "sgd": {"lr": 0.03, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}}, {
        "linear_probe": {"views": 0, "stop": 0.2}, "warm_restart": {"at": 0.2, "factor": 0.1}}),
    "bit_hyperrule": (100, 512, {"cifar10": 97.4, "cifar100": 86.6}, {
        "sgd": {"lr": 0.003, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}}, {
        "linear_scaling": {"base": 512}, "step_every": {"epochs": 30.0, "factor": 0.1}, "mixup": {"alpha": 0.1},
        "warmup": {"epochs": 5.0, "first": 0.0}, "head_init": {"std": 0.0, "bias": "zero"}}),
    "rsb_a1": (600, 2048, {"imagenet_top_1": 80.4}, {"lamb": {"lr": 5e-3, "weight_decay": 0.01}}, {
        "binary_cross_entropy": {"threshold": 0.2}, "repeated_augmentation": {"times": 3},
        "mixup_cutmix": {"mixup_alpha": 0.2, "cutmix_alpha": 1.0, "switch": 0.5}, "stochastic_depth": {"rate": 0.05},
        "rand_augment": {"count": 1, "magnitude": 21}, "center_crop": {"ratio": 0.95}}),
    "rsb_a2": (300, 2048, {"imagenet_top_1": 79.8}, {"lamb": {"lr": 5e-3, "weight_decay": 0.02}}, {
        "binary_cross_entropy": {"threshold": 0.2}, "repeated_augmentation": {"times": 3},
        "mixup_cutmix": {"mixup_alpha": 0.1, "cutmix_alpha": 1.0, "switch": 0.5}, "stochastic_depth": {"rate": 0.05},
        "rand_augment": {"count": 1, "magnitude": 21}, "center_crop": {"ratio": 0.95}}),
    "rsb_a3": (100, 2048, {"imagenet_top_1": 78.1}, {"lamb": {"lr": 8e-3, "weight_decay": 0.02}}, {
        "binary_cross_entropy": {"threshold": 0.2}, "inference_resolution": {"scale": 224 / 160},
        "mixup_cutmix": {"mixup_alpha": 0.1, "cutmix_alpha": 1.0, "switch": 0.5},
        "rand_augment": {"count": 1, "magnitude": 18}}),
    "deit3": (800, 2048, {"imagenet_top_1": 81.4}, {"lamb": {"lr": 4e-3, "weight_decay": 0.05}}, {
        "binary_cross_entropy": {"threshold": 0.0}, "repeated_augmentation": {"times": 3},
        "mixup_cutmix": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "switch": 0.5}, "layer_scale": {"init": 1e-4},
        "three_augment": {"jitter": 0.3, "blur": 2.0}, "cosine": {"final": 1e-5 / 4e-3}}),
    "deit3_finetune": (20, 512, {"imagenet_top_1": 83.4}, {"adamw": {"lr": 1e-5, "weight_decay": 0.1}}, {
        "mixup_cutmix": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "switch": 0.5}, "label_smoothing": {"epsilon": 0.1},
        "rand_augment": {"count": 1, "magnitude": 27}, "constant": {}}),
    "layer_decay_finetune": (100, 1024, {"imagenet_top_1": 83.664}, {"adamw": {"lr": 5e-4, "weight_decay": 0.05}}, {
        "linear_scaling": {"base": 256}, "layer_decay": {"decay": 0.65}, "stochastic_depth": {"rate": 0.1},
        "mixup_cutmix": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "switch": 0.5}, "label_smoothing": {"epsilon": 0.1},
        "random_erasing": {"probability": 0.25, "area": 1 / 3, "fill": "noise"}})}
SCRATCH = {"rsb_a1", "rsb_a2", "rsb_a3", "deit3"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_what_its_source_says(name):
    found = load_bundle_file(FOLDER / f"{name}.yaml")
    epochs, batch_size, figures, optimizer, others = RECIPES[name]
    assert (found.bundle.epochs, found.bundle.batch_size) == (epochs, batch_size)
    assert {key: value for key, value in found.document.published.items() if key != "metric"} == figures
    tricks = found.bundle.document()["tricks"]
    for trick, values in {**optimizer, **others}.items():
        assert tricks[trick] == pytest.approx(values) if "bias" not in values and "fill" not in values \
            else tricks[trick] == values, trick
    assert not problems(found.bundle.uses) and plan_of(found.bundle, CLASSIFICATION).phases


@pytest.mark.parametrize("name", RECIPES)
def test_fine_tuning_begins_with_the_weights_that_the_model_names_and_other_recipes_with_none(name):
    bundle = load_bundle_file(FOLDER / f"{name}.yaml").bundle
    assert bundle.weights == ("" if name in SCRATCH else "default")
    assert ("." in bundle.model) == (name not in SCRATCH), "a tag"


def test_what_is_not_published_so_is_said():
    assert all(load_bundle_file(FOLDER / f"{name}.yaml").document.about for name in RECIPES)


def test_steps_of_the_hyperrule_fall_at_30_60_and_90_percent():
    bundle = load_bundle_file(FOLDER / "bit_hyperrule.yaml").bundle
    every = bundle.document()["tricks"]["step_every"]["epochs"]
    assert [place * every / bundle.epochs for place in (1, 2, 3)] == pytest.approx([0.3, 0.6, 0.9])

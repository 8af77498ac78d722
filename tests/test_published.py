"""The long-tailed bundles are the recipes that their sources describe, and carry their sources' figures."""
from functools import cache
from pathlib import Path

import pytest

from autotricks.core.plan import problems
from autotricks.space import load_bundle_file
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.tricks.catalog import plan_of
from tests.conftest import for_each

FOLDER = Path(__file__).parents[1] / "search_spaces" / "published"
OTHERS = ("imagenet_", "asl", "accv_2020", "icpr_2020", "finetune_timm", "linear_probe", "lp_ft", "bit_", "rsb_",
          "deit3", "layer_decay_", "fcos", "rtmdet")    # of other tables, or of none
FILES = {path.stem: path for path in FOLDER.glob("*.yaml") if not path.stem.startswith(OTHERS)}
COLUMNS = ("cifar10_lt_100", "cifar10_lt_50", "cifar100_lt_100", "cifar100_lt_50")
MIXING = {"mixup", "manifold_mixup", "remix"}

# Errors in the order of COLUMNS; after the bar those of the later split.
FIGURES = """
cross_entropy                           30.12 24.81 61.76 57.65 | 29.64 25.19 61.68 56.15
cross_entropy_400_epochs                29.71 23.50 60.92 56.59 |
cost_sensitive                          31.22 22.06 69.41 62.05 | 31.70 23.20 67.73 63.49
square_root_cost_sensitive              31.58 22.78 62.01 57.66 | 31.70 22.22 61.64 57.23
sigmoid_focal                           30.88 24.12 62.59 59.46 | 28.44 22.09 62.78 58.21
class_balanced_focal                    26.83 21.71 62.11 57.70 | 24.80 21.01 61.44 57.63
class_balanced_cross_entropy            29.80 22.91 61.50 57.98 | 29.52 22.52 61.03 56.22
label_smoothing                         30.44 24.35 62.80 57.55 | 27.19 23.43 61.56 57.66
label_aware_smoothing                   30.88 24.33 62.96 58.29 | 27.49 22.04 62.32 56.22
ldam                                    29.37 23.15 61.24 57.86 | 26.34 20.99 61.12 56.41
seql                                                            | - - 59.51 55.19
cdt                                     25.08 19.89 59.90 56.33 | 22.90 18.19 60.41 55.17
balanced_softmax                        23.63 20.07 56.82 54.55 | 22.46 18.89 57.01 53.45
class_balanced_sampling                 30.35 23.38 66.47 61.07 | 27.55 21.92 64.76 60.54
square_root_sampling                    30.81 23.61 64.67 58.03 | 28.58 22.32 63.21 58.87
progressive_sampling                    29.35 24.06 60.90 56.92 | 28.02 21.43 60.96 56.88
reverse_sampling                        29.06 23.20 62.84 58.19 | 28.38 21.89 62.94 57.97
mixup                                   28.55 21.83 60.10 55.25 | 25.94 21.33 59.18 54.08
manifold_mixup                          27.88 21.68 60.53 56.76 | 24.81 20.42 60.12 54.76
remix                                   29.50 23.44 59.13 54.62 | 26.57 20.74 58.61 54.30
deferred_cost_sensitive                 26.66 20.71 59.36 54.77 | 25.18 20.18 58.38 53.20
deferred_sigmoid_focal                  27.97 22.25 62.41 58.51 | 28.85 20.68 62.47 56.39
deferred_class_balanced_focal           26.69 20.75 62.19 56.68 | 24.57 18.62 61.94 55.01
deferred_class_balanced_cross_entropy   26.87 20.94 61.57 57.49 | 25.36 20.65 60.79 56.63
deferred_ldam                           24.61 20.31 59.08 54.46 | 22.27 18.40 57.53 52.71
deferred_cdt                            25.15 19.29 58.38 53.97 | 22.45 18.73 57.78 53.20
deferred_balanced_softmax               25.30 19.49 58.60 54.16 | 22.83 19.16 58.18 53.51
deferred_square_root                    28.60 21.85 60.09 55.74 | 26.78 21.15 59.64 55.46
deferred_progressive                    27.73 21.82 59.20 54.60 | 26.15 19.47 59.59 54.79
deferred_class_balanced                 27.08 21.18 58.66 54.26 |
tau_normalization                       29.34 21.90 58.38 56.10 | 27.30 20.22 59.04 54.31
mixup_cost_sensitive                    23.31 18.86 61.40 55.54 |
mixup_balanced_softmax                  18.65 15.79 53.19 48.97 |
mixup_class_balanced_sampling           25.03 19.97 57.33 52.61 |
mixup_progressive_sampling              24.70 18.68 55.50 50.67 |
manifold_mixup_cost_sensitive           26.42 21.04 68.22 58.53 |
manifold_mixup_balanced_softmax         23.15 18.65 56.92 52.83 |
manifold_mixup_class_balanced_sampling  27.55 22.30 63.44 58.15 |
manifold_mixup_progressive_sampling     26.24 21.50 60.04 56.57 |
remix_cost_sensitive                    23.95 18.53 62.65 54.70 |
remix_balanced_softmax                  18.94 15.81 51.97 49.10 |
remix_class_balanced_sampling           23.87 19.80 57.66 52.71 |
remix_progressive_sampling              23.81 18.49 55.66 51.25 |
mixup_deferred_balanced_softmax         18.73 15.66 53.30 48.76 |
mixup_reverse_sampling                  22.38 18.33 57.30 52.16 |
deferred_influence_balanced             24.04 20.18 58.87 55.76 | 23.34 19.08 59.21 54.54
deferred_cam_square_root                25.08 20.13 59.76 55.43 | 26.45 20.46 59.33 54.58
deferred_cam_progressive                25.56 19.96 59.18 54.79 | 27.08 20.76 58.92 53.90
deferred_cam_balanced                   23.59 18.55 58.38 53.25 | 23.10 19.28 58.05 53.27
classifier_retraining                   26.12 20.93 58.77 55.97 | 25.01 19.83 59.74 54.64
learnable_weight_scaling                29.32 22.42 59.06 56.05 | 27.37 21.34 59.84 54.79
dive                                                            | 21.12 17.56 54.48 49.17
mixup_deferred_cam_balanced             21.33 16.78 54.09 49.73 |
bag_of_tricks                           20.24 16.44 52.17 47.98 |
"""

# What the row's words mean as tricks, beside those of the common setting; written out once more, by hand.
RECIPES = {
    "square_root_cost_sensitive": {"cost_sensitive": {"exponent": 0.5, "normalize": True}},
    "class_balanced_focal": {"sigmoid_focal": {"gamma": 1.0}, "class_weights": {"beta": 0.9999, "normalize": False}},
    "deferred_class_balanced_focal": {"sigmoid_focal": {"gamma": 1.0},
                                      "class_weights": {"beta": 0.9999, "normalize": False, "start": 0.8}},
    "deferred_sigmoid_focal": {"sigmoid_focal": {"gamma": 2.0},
                               "cost_sensitive": {"exponent": 1.0, "normalize": False, "start": 0.8}},
    "deferred_ldam": {"ldam": {"max_margin": 0.5}, "cosine_head": {"scale": 30.0},
                      "class_weights": {"beta": 0.9999, "normalize": True, "start": 0.8}},
    "deferred_progressive": {"progressive": {"first": 0.8, "start": 0.8}},
    "manifold_mixup": {"manifold_mixup": {"alpha": 1.0, "shallowest": 4, "deepest": 4}},
    "deferred_cdt": {"cdt": {"gamma": 0.2, "start": 0.8}},
    "remix_cost_sensitive": {"remix": {"alpha": 1.0, "kappa": 3.0, "tau": 0.5},
                             "cost_sensitive": {"exponent": 1.0, "normalize": True}},
    "deferred_cam_square_root": {
        "warm_restart": {"at": 0.8333333333, "factor": 0.01}, "square_root": {"start": 0.8333333333},
        "cam_sampling": {"threshold": 0.75, "mirrors": True, "start": 0.8333333333}},
    "dive": {"warm_restart": {"at": 0.5, "factor": 1.0}, "balanced_softmax": {},
             "dive": {"teacher": "", "alpha": 0.5, "temperature": 3.0, "power": 0.5, "restart": True}},
    "bag_of_tricks": {
        "warm_restart": {"at": 0.9523809524, "factor": 0.01}, "mixup": {"alpha": 1.0, "stop": 0.9523809524},
        "cam_sampling": {"threshold": 0.75, "mirrors": True, "start": 0.7619047619},
        "class_balanced": {"q": 0.0, "start": 0.7619047619}},
    "mixup_deferred_balanced_softmax": {"mixup": {"alpha": 1.0}, "balanced_softmax": {"start": 0.8}}}
# Epochs of each stage where there are more than one, and the trick that stands at the others' place.
STAGES = {"deferred_cam_balanced": (200, 40), "deferred_cam_square_root": (200, 40),
          "deferred_cam_progressive": (200, 40), "classifier_retraining": (200, 30),
          "learnable_weight_scaling": (200, 30), "dive": (200, 200), "bag_of_tricks": (320, 80, 20)}
STARTS = {"deferred_influence_balanced": {0.5}, "mixup_deferred_cam_balanced": {0.8}}
SETTING = {"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 2e-4},
           "step": {"first": 0.8, "second": 0.9, "factor": 0.01}, "warmup": {"epochs": 5.0, "first": 1 / 3},
           "crop": {"padding": 4}, "flip": {}}


@cache
def loaded(name):
    return load_bundle_file(FILES[name])


def columns(text, prefix):
    return {prefix + key: float(figure) for key, figure in zip(COLUMNS, text.split(), strict=False) if figure != "-"}


def table():
    for line in FIGURES.strip().splitlines():
        name, _, rest = line.partition(" ")
        old, _, head = rest.partition("|")
        yield name, {**columns(old, ""), **columns(head, "head_")}


ROWS = dict(table())


def test_every_file_is_in_the_table_and_every_row_has_its_figures():
    assert set(FILES) == set(ROWS)
    assert len(ROWS) == len(FIGURES.strip().splitlines()), "no name stands twice"
    assert sum(set(COLUMNS) <= set(figures) for figures in ROWS.values()) == len(ROWS) - 2, "but seql and dive"


@for_each(FILES)
def test_a_file_holds_the_figures_of_the_table(name):
    document = loaded(name).document
    figures = {key: value for key, value in document.published.items() if key != "metric"}
    assert figures == ROWS[name]
    assert document.published["metric"] == "test error in percent, best epoch, one seed"


@for_each(FILES)
def test_a_file_is_called_as_its_bundle_and_can_be_planned(name):
    found = loaded(name)
    assert found.document.name == name
    assert not problems(found.bundle.uses)
    edges = {edge for use in found.bundle.uses for edge in (use.window.start, use.window.stop)}
    assert [phase.start for phase in plan_of(found.bundle, CLASSIFICATION).phases] == sorted(edges - {1.0})
    stages = STAGES.get(name, (1,))
    ends = {sum(stages[:place]) / sum(stages) for place in range(1, len(stages))}
    ends |= STARTS.get(name, {0.8} if "deferred" in name and not ends else set())
    assert sorted(edges) == pytest.approx(sorted({0.0, 1.0} | ends))
    restarts = [use.trick.at for use in found.bundle.uses if use.trick.name == "warm_restart"]
    assert not restarts or restarts[0] == sorted(edges)[-2], "the rate begins again where the last stage does"


def test_no_two_files_hold_one_bundle():
    hashes = {loaded(name).bundle.hash for name in FILES}
    assert len(hashes) == len(FILES)


@for_each(FILES)
def test_a_bundle_that_mixes_trains_twice_as_long(name):
    bundle = loaded(name).bundle
    long = bool(MIXING & set(bundle.names())) or name == "cross_entropy_400_epochs"   # the baseline of those that mix
    assert bundle.epochs == (sum(STAGES[name]) if name in STAGES else 400 if long else 200)


@for_each(FILES)
def test_the_setting_is_the_same_for_all(name):
    document = loaded(name).bundle.document()
    assert document["model"] == {"name": "resnet32"} and document["training"]["batch_size"] == 128
    earlier = {"step": {"first": 0.5, "second": 0.8, "factor": 0.01}} if name == "deferred_influence_balanced" else {}
    assert {trick: document["tricks"][trick] for trick in SETTING} == {**SETTING, **earlier}


@for_each(RECIPES)
def test_a_recipe_is_what_its_row_says(name):
    tricks = loaded(name).bundle.document()["tricks"]
    assert {trick: values for trick, values in tricks.items() if trick not in SETTING} == RECIPES[name]


@for_each(FILES)
def test_a_file_opens_with_what_it_is_and_its_setting(name):
    opening = FILES[name].read_text().split("name:")[0].splitlines()
    epochs = loaded(name).bundle.epochs
    assert len(opening) == 2 and opening[1].startswith("# Setting: CIFAR-10")
    said = opening[1].partition("as published, ")[2].removesuffix(" epochs.")
    assert [int(part) for part in said.split("+")] == list(STAGES.get(name, (epochs,)))

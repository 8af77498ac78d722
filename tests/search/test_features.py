"""Bundles as vectors: every column worked out by hand."""
import pytest

from autotricks.core.bundle import Bundle
from autotricks.tricks.catalog import make
from autotricks.tuning.features import CROWD, EPOCHS, FEW, Features, wish_of

TRICKS = ("sgd", "mixup", "warmup", "lr_finder", "class_weights", "influence_balanced", "pretrained")


def bundle(**tricks):
    return Bundle(tuple(make(name, values) for name, values in tricks.items()), epochs=50)


def columns(made: Bundle, tricks=TRICKS, epochs: int = 50) -> dict[str, float]:
    """Return the columns that are not 0."""
    features = Features(tricks, epochs)
    return {name: value for name, value in zip(features.names, features.vector(wish_of(made)).tolist(), strict=True)
            if abs(value) > 1e-12}


def test_a_trick_at_its_defaults_is_one_column():
    assert columns(bundle(sgd={"lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4})) == {"sgd": 1.0}
    assert columns(bundle(mixup={}, influence_balanced={})) == {"mixup": 1.0, "influence_balanced": 1.0}


@pytest.mark.parametrize(("name", "parameter", "value", "moved"), [
    ("sgd", "lr", 0.01, -2 / 3), ("sgd", "lr", 0.001, -4 / 3), ("sgd", "lr", 1.0, 2 / 3),   # a decade of three: 2/3
    ("sgd", "lr", 10.0, 4 / 3),                                                             # a little outside
    ("sgd", "weight_decay", 1e-3, 1.0), ("sgd", "weight_decay", 1e-5, -1.0),
    ("sgd", "weight_decay", 0.1, 2.0), ("sgd", "weight_decay", 0.0, -2.0),                  # far outside
    ("mixup", "alpha", 1.95, 1.0), ("mixup", "alpha", 0.525, -0.5),                         # half of 1.9 is 0.95
    ("sgd", "momentum", 0.8, -1.0), ("sgd", "momentum", 0.95, 1.0), ("sgd", "momentum", 0.85, -0.5),    # by rank
    ("warmup", "epochs", EPOCHS * 50, 2.0), ("warmup", "epochs", EPOCHS * 25, 1.0),         # from none at all
    ("warmup", "epochs", EPOCHS * 500, 3.0)])
def test_how_far_a_number_lies_from_its_default(name, parameter, value, moved):
    """2 is the width of the trick's own search domain."""
    found = columns(bundle(**{name: {parameter: value}}))
    assert found[f"{name}.{parameter}"] == pytest.approx(moved)
    assert found[f"{name}.{parameter}^2"] == pytest.approx(moved ** 2)


def test_a_word_has_a_column_unless_it_is_the_default():
    assert "lr_finder.rule=minimum" not in Features(TRICKS, 50).names, "the default"
    assert columns(bundle(lr_finder={"rule": "steepest"}))["lr_finder.rule=steepest"] == 1.0
    assert not any("rule" in name for name in columns(bundle(lr_finder={"rule": "minimum"})))
    assert columns(bundle(sgd={"nesterov": True})) == {"sgd": 1.0, "sgd.nesterov=True": 1.0}


@pytest.mark.parametrize(("tricks", "column", "value"), [
    ({"class_weights": {"start": 0.8}}, "class_weights.start", 0.8),
    ({"influence_balanced": {"start": 0.8}}, "influence_balanced.start", 0.3),      # it opens at half of training
    ({"mixup": {"stop": 0.75}}, "mixup.stop", -0.25)])
def test_a_window_counts_from_where_it_would_be_unasked(tricks, column, value):
    assert columns(bundle(**tricks))[column] == pytest.approx(value)
    plain = columns(bundle(**{name: {} for name in tricks}))
    assert not {name for name in plain if name.endswith((".start", ".stop"))}


def test_a_trick_that_is_never_active_is_none():
    assert columns(bundle(mixup={"start": 0.5, "stop": 0.5})) == {}
    assert wish_of(bundle(mixup={"start": 0.5, "stop": 0.5})) == {}


def test_other_tricks_are_not_seen():
    assert columns(bundle(cutmix={"alpha": 0.5}, mixup={"alpha": 1.95})) == columns(bundle(mixup={"alpha": 1.95}))
    assert columns(bundle(cutmix={})) == {}


def test_a_path_has_no_column():
    assert columns(bundle(pretrained={"weights": "/there/weights.safetensors"})) == {"pretrained": 1.0}


def test_half_of_the_epochs_makes_a_warmup_twice_as_long():
    warm = bundle(warmup={"epochs": EPOCHS * 25})
    assert columns(warm)["warmup.epochs"] == pytest.approx(1.0)
    assert columns(warm, epochs=25)["warmup.epochs"] == pytest.approx(2.0)


def test_many_tricks_crowd_each_other():
    """With the square of how many there are beyond a few; how they are computed is no trick, nor is one not listed."""
    names = ["ema", "flip", "cutout", "zero_gamma", "no_bias_decay", "label_smoothing", "gradient_clipping", "crop"]

    def crowd(count, **more):
        return columns(bundle(**{name: {} for name in names[:count]}, **more), [*names, "channels_last"]).get(CROWD, 0)
    assert [crowd(count) for count in (0, FEW - 1, FEW)] == [0, 0, 0]
    assert crowd(FEW + 1) == pytest.approx(1 / FEW ** 2) and crowd(FEW + 3) == pytest.approx(9 / FEW ** 2)
    assert crowd(FEW, channels_last={}) == crowd(FEW, mixup={}) == 0


def test_a_wish_holds_all_values_and_the_windows_edges():
    assert wish_of(bundle(mixup={"alpha": 0.5, "stop": 0.8})) == {"mixup": {"alpha": 0.5, "start": 0.0, "stop": 0.8}}


def test_rows_are_vectors_and_columns_are_by_trick():
    features = Features(("warmup", "mixup"), 50)
    assert features.names == (CROWD, "mixup", "mixup.start", "mixup.stop", "mixup.alpha", "mixup.alpha^2", "warmup",
                              "warmup.start", "warmup.stop", "warmup.epochs", "warmup.epochs^2", "warmup.first",
                              "warmup.first^2")
    wishes = [wish_of(bundle(mixup={"alpha": 1.95, "stop": 0.8})), {}]
    used, unused = features.matrix(wishes).tolist()
    assert used == pytest.approx([0.0, 1.0, 0.0, -0.2, 1.0, 1.0, *[0.0] * 7]) and unused == [0.0] * 13
    assert features.matrix([]).shape == (0, 13)

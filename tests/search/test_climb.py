import math
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_weights

from autotricks.core.bundle import Bundle, Use
from autotricks.core.reporting import End
from autotricks.core.slots import Slot
from autotricks.core.trick import Trick
from autotricks.core.weights import Weights
from autotricks.runs.trial import RungPlan
from autotricks.trainer import Trainer
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make
from autotricks.tuning.engines.rung_training import RungTrainer, arrays, from_arrays
from tests.conftest import timeless

PREFIX = RungPlan((1, 2, 4), compressed=False)
COMPRESSED = RungPlan((1, 2, 4), compressed=True)
BUNDLE = Bundle((make("cosine", {}), make("sgd", {"lr": 0.05}), make("mixup", {"stop": 0.5}), make("ema", {}),
                 make("warmup", {"epochs": 2.0})), epochs=4, batch_size=16)


class Witness(Trick):
    """Note when the window opens and closes."""

    seats = {Slot.LOSS: "term"}
    heard: ClassVar[list[str]] = []

    def loss(self, inner, run):
        return inner

    def enter(self, run):
        self.heard.append("enter")

    def leave(self, run):
        self.heard.append(f"leave at {run.progress:g}")


@pytest.mark.parametrize("course", [COMPRESSED, PREFIX])
def test_last_rung_is_the_trial_that_production_would_train(dataset, course):
    climb = RungTrainer(BUNDLE, course, dataset)
    outcomes = [climb.reach(rung) for rung in range(3)]
    assert [outcome.end for outcome in outcomes] == [None, None, End.FINISHED]
    expected = run_trial(BUNDLE, dataset)
    assert timeless(outcomes[2].metrics) == timeless(expected.metrics)
    weights, others = load_weights(outcomes[2].weights), expected.model.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_compressed_trains_the_whole_bundle_at_each_rung(dataset):
    climb = RungTrainer(BUNDLE, COMPRESSED, dataset)
    for rung, budget in enumerate(COMPRESSED.budgets):
        outcome = climb.reach(rung)
        expected = run_trial(BUNDLE.rescaled(budget), dataset)
        assert timeless(outcome.metrics) == timeless(expected.metrics)
        assert [row["epoch"] for row in outcome.curve] == list(range(1, budget + 1))
        assert outcome.epochs == budget
        assert (outcome.weights is None) == (rung < 2)


def test_compressed_may_begin_anywhere(dataset):
    fresh, used = RungTrainer(BUNDLE, COMPRESSED, dataset), RungTrainer(BUNDLE, COMPRESSED, dataset)
    used.reach(0)
    assert timeless(fresh.reach(1).metrics) == timeless(used.reach(1).metrics)


def test_prefix_is_one_long_run_in_stretches(dataset):
    climb, expected = RungTrainer(BUNDLE, PREFIX, dataset), run_trial(BUNDLE, dataset)
    outcomes = [climb.reach(rung) for rung in range(3)]
    assert [[row["epoch"] for row in outcome.curve] for outcome in outcomes] == [[1], [2], [3, 4]]
    assert [row["val/loss"] for outcome in outcomes for row in outcome.curve] == [
        metrics.values["val/loss"] for metrics in expected.history]
    assert [outcome.epochs for outcome in outcomes] == [1, 1, 2]


def test_fidelities_differ_before_the_end(dataset):
    prefix = RungTrainer(BUNDLE, PREFIX, dataset).reach(0)
    compressed = RungTrainer(BUNDLE, COMPRESSED, dataset).reach(0)
    assert prefix.metrics["train/loss"] != compressed.metrics["train/loss"]


@pytest.mark.parametrize(("course", "expected"), [
    (PREFIX, ["enter", "leave at 1"]), (COMPRESSED, ["enter", "leave at 1"] * 3)])
def test_tricks_leave_their_window_at_the_end(dataset, course, expected):
    Witness.heard.clear()
    climb = RungTrainer(replace(BUNDLE, uses=(*BUNDLE.uses, Use(Witness()))), course, dataset)
    for rung in range(3):
        climb.reach(rung)
    assert Witness.heard == expected


@pytest.mark.parametrize("course", [COMPRESSED, PREFIX])
def test_divergence_ends_the_climb(dataset, course):
    bundle = replace(BUNDLE, uses=(make("cosine", {}), make("sgd", {"lr": 1e6})))
    outcome = RungTrainer(bundle, course, dataset).reach(0)
    assert outcome.end is End.DIVERGED and outcome.weights is None
    loss = outcome.metrics["train/loss"]
    assert not math.isfinite(loss) or loss > 100 * math.log(4)


@pytest.mark.parametrize("course", [COMPRESSED, PREFIX])
def test_no_memory_ends_the_climb(dataset, course, monkeypatch):
    steps, train = [], Trainer.step

    def full(self, rows):
        steps.append(rows)
        if len(steps) == 8:
            raise torch.OutOfMemoryError("simulated")
        return train(self, rows)

    monkeypatch.setattr(Trainer, "step", full)
    climb = RungTrainer(BUNDLE, course, dataset)     # 90 images in batches of 16: five steps an epoch
    assert climb.reach(0).end is None
    outcome = climb.reach(1)
    assert outcome.end is End.OUT_OF_MEMORY and outcome.weights is None
    assert outcome.metrics == {} and outcome.curve == []


def test_weights_travel_with_the_data(dataset):
    held = Weights("me/toy", {"a": torch.arange(6.0).view(2, 3)}, "5f", "c0", "mit", (0.4,) * 3, (0.2,) * 3)
    parts = arrays(replace(dataset, weights={"timm:toy": held}, follow_weights=False))
    assert isinstance(parts["weights"]["timm:toy"][1]["a"], np.ndarray)     # which shared memory holds once for all
    back = from_arrays(parts)
    assert not back.follow_weights and back.weights["timm:toy"].facts() == held.facts()
    assert torch.equal(back.weights["timm:toy"].tensors["a"], held.tensors["a"])
    mean, std = back.weights["timm:toy"].statistics(1)
    assert mean == pytest.approx((0.4,)) and std == pytest.approx((0.2,))


def test_data_travels_without_the_test_split(dataset):
    parts = arrays(dataset)
    back = from_arrays(parts)
    assert back.test is None and dataset.test is not None
    shipped = [array for name in ("train", "validation") for array in parts[name]]
    assert len(shipped) == 8 and set(parts) == {"train", "validation", "rest", "weights", "folds"}
    for split in ("train", "validation"):
        assert torch.equal(getattr(back, split).images, getattr(dataset, split).images)
        ours, theirs = getattr(back, split).targets, getattr(dataset, split).targets
        assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.shares, theirs.shares)
        assert ours.boxes is None and theirs.boxes is None
    for name in ("classes", "mean", "std", "fingerprint", "source", "task"):
        assert getattr(back, name) == getattr(dataset, name)

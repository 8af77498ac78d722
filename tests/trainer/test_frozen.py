"""Where the network is frozen, what it makes of an image is computed once, and training is the same."""
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from autotricks.core.bundle import Bundle
from autotricks.io import array_cache
from autotricks.models import build
from autotricks.trainer import trainer
from autotricks.trial import prepare, run_trial
from autotricks.tricks.catalog import make
from tests.conftest import make_dataset

DATA = replace(make_dataset(counts=(20, 14, 8)), fingerprint="toy")


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(5)
    save_file(build("resnet8", 3, 1).state_dict(), tmp_path / "weights.safetensors")
    return str(tmp_path / "weights.safetensors")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(array_cache.FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def looked(monkeypatch):
    """Images that went through the network, by each pass."""
    passes = []
    plain = torch.nn.Module.__call__

    def counted(self, *given, **named):
        if type(self).__name__ == "ResNet":
            passes.append(len(given[0]))
        return plain(self, *given, **named)
    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    return passes


def bundle(file, *more, probe=None, seed=0, epochs=3):
    uses = (make("pretrained", {"weights": file}), make("linear_probe", probe or {}), *more)
    if not any(use.trick.name in ("sgd", "adam") for use in uses):
        uses = (*uses, make("sgd", {"lr": 0.05}))
    return Bundle(uses, model="resnet8", epochs=epochs, batch_size=8, seed=seed)


def on_images(monkeypatch, one):
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "frozen_features", lambda *given: None)
        return run_trial(one, DATA)


def same(left, right):
    for ours, theirs in zip(left.history, right.history, strict=True):
        names = [name for name in ours.values if "calibration" not in name]     # a bin more or less
        assert [ours.values[name] for name in names] == pytest.approx([theirs.values[name] for name in names], abs=2e-5)
    theirs = right.model.state_dict()
    for name, value in left.model.state_dict().items():
        torch.testing.assert_close(value, theirs[name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("more", [(), (make("label_smoothing", {}), make("class_balanced", {})), (make("ema", {}),),
                                  (make("cosine_head", {}),), (make("tau_normalization", {}),)],
                         ids=["plain", "loss and sampler", "average", "head", "predict"])
def test_training_is_what_it_is_on_images(file, monkeypatch, more):
    one = bundle(file, *more)
    same(run_trial(one, DATA), on_images(monkeypatch, one))


def test_the_network_sees_each_image_once_and_for_other_trials_never(file, looked):
    run_trial(bundle(file), DATA)
    images = len(DATA.train) + len(DATA.validation)
    probed = min(64, len(DATA.validation))
    assert sum(looked) == images + probed
    looked.clear()
    run_trial(bundle(file, make("adam", {"lr": 0.01}), make("focal", {}), make("square_root", {}), seed=7), DATA)
    assert sum(looked) == probed        # whether logits follow from features is seen to anew


def test_other_images_weights_or_normalization_are_computed_anew(file, looked, tmp_path):
    run_trial(bundle(file), DATA)
    torch.manual_seed(6)
    save_file(build("resnet8", 3, 1).state_dict(), tmp_path / "other.safetensors")
    for one, data in ((bundle(file), replace(DATA, fingerprint="other")), (bundle(file), replace(DATA, mean=(0.1,))),
                      (bundle(str(tmp_path / "other.safetensors")), DATA)):
        looked.clear()
        run_trial(one, data)
        assert sum(looked) > len(DATA.train)


@pytest.mark.parametrize("more", [make("flip", {}), make("mixup", {}), make("dropout", {"p": 0.2})],
                         ids=lambda use: use.trick.name)
def test_what_changes_with_every_step_is_computed_in_every_step(file, looked, more):
    run_trial(bundle(file, more), DATA)
    assert sum(looked) > 3 * (len(DATA.train) // 8) * 8


def test_moving_norms_are_not_frozen(looked):
    one = Bundle((make("sgd", {"lr": 0.05}), make("classifier_retraining", {"norms": "moving", "start": 0.0})),
                 model="resnet8", epochs=2, batch_size=8)
    run_trial(one, DATA)
    assert sum(looked) > 2 * (len(DATA.train) // 8) * 8


def test_views_are_drawn_from_and_common_to_all_seeds(file, looked):
    def table(seed):
        one = prepare(bundle(file, make("crop", {}), probe={"views": 3}, seed=seed), DATA)
        one.enter(one.plan.phases[0])
        return one
    first = table(0)
    features = first.frozen.train
    assert features.shape[:2] == (3, len(DATA.train)) and not torch.equal(features[0], features[1])
    assert torch.equal(table(1).frozen.train, features)
    rows = torch.arange(len(DATA.train))
    batch = first.batch(rows)
    views = [(batch.images == view).all(1) for view in features]
    assert torch.stack(views).any(0).all() and all(0 < view.sum() < len(rows) for view in views)


def test_after_the_window_all_is_trained_on_images(file, looked):
    one = prepare(bundle(file, probe={"stop": 0.5}, epochs=4), DATA)
    before = {name: value.clone() for name, value in one.run.model.state_dict().items()}
    epochs = one.epochs()
    next(epochs)
    next(epochs)
    assert one.run.classify is not None
    assert torch.equal(one.run.model.state_dict()["stem.weight"], before["stem.weight"])
    assert not torch.equal(one.run.model.head.weight, before["head.weight"])
    probed = one.run.model.head.weight.clone()
    one.enter(one.plan.phases[1])
    assert one.run.classify is None and torch.equal(one.run.model.head.weight, probed)
    next(epochs)
    assert not torch.equal(one.run.model.state_dict()["stem.weight"], before["stem.weight"])


def test_a_checkpoint_goes_on_with_features(file):
    whole = list(prepare(bundle(file), DATA).epochs())
    first = prepare(bundle(file), DATA)
    next(first.epochs())
    second = prepare(bundle(file), DATA)
    second.load_state_dict(first.state_dict())
    assert second.run.classify is second.run.model.head
    assert [metrics.values for metrics in second.epochs()] == [metrics.values for metrics in whole[1:]]


def test_a_damaged_file_is_computed_anew_and_a_folder_that_takes_nothing_keeps_nothing(file, cache, monkeypatch):
    clean = run_trial(bundle(file), DATA).history
    for path in cache.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    assert [one.values for one in run_trial(bundle(file), DATA).history] == [one.values for one in clean]
    (cache.parent / "blocked").write_text("a file")
    monkeypatch.setenv(array_cache.FOLDER, str(cache.parent / "blocked"))
    assert [one.values for one in run_trial(bundle(file), DATA).history] == [one.values for one in clean]


def test_what_was_used_longest_ago_makes_room(cache, monkeypatch):
    monkeypatch.setattr(array_cache, "LARGEST", 2000)
    made = []

    def ask(key):
        return array_cache.kept(key, "x", lambda: made.append(key) or torch.ones(200))
    for key in ("a", "b", "a", "c", "a", "b"):
        assert torch.equal(ask(key), torch.ones(200))
        for number, path in enumerate(sorted(cache.glob("*.npy"), key=lambda path: path.stat().st_mtime)):
            stamp = path.stat().st_mtime - 100 + number
            os.utime(path, (stamp, stamp))
    assert made == ["a", "b", "c", "b"]

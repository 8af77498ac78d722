"""Production training: a bundle on all images that may be trained on."""
import json
import sys

import numpy as np
import pytest
import yaml

from autotricks import cli
from autotricks.data import Settings, load
from autotricks.inference.predictor import Predictor

BUNDLE = {"name": "made", "data": {"source": "digits", "size": 8}, "tricks": {"sgd": {"lr": 0.05}},
          "training": {"epochs": 1, "batch_size": 64, "seed": 1},
          "result": {"metric": "val/accuracy", "score": 0.25, "threads": 1}}


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Run `autotricks train` on the bundle; return what it prints."""
    def ran(*words):
        (tmp_path / "made.yaml").write_text(yaml.safe_dump(BUNDLE))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["autotricks", "train", "made.yaml", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
        return capsys.readouterr().out
    return ran


def test_all_data_trains_on_validation_too_and_measures_on_test(train, tmp_path):
    told = json.loads(train("--all-data", "--json"))
    assert told["trained_on"] == "train and validation" and told["metric"] is None and not told["searched"]
    assert all(name.startswith(("train/", "test/")) for name in told["metrics"])
    document = yaml.safe_load((tmp_path / "trained" / "champion.yaml").read_text())
    assert document["result"]["metrics"] == told["metrics"]
    data = load(Settings("digits", size=8)).dataset
    predictor = Predictor.load(tmp_path / "trained")
    chosen = predictor.predict(data.test.images.permute(0, 2, 3, 1).numpy()).argmax(1)
    right = (chosen == data.test.targets.single.numpy()).mean()
    assert right == pytest.approx(told["metrics"]["test/accuracy"], abs=1e-6)
    # the statistics are those of all that was trained on
    pixels = np.concatenate([data.train.images.numpy(), data.validation.images.numpy()]) / 255
    assert document["images"]["mean"] == pytest.approx([pixels.mean()], rel=1e-9)
    assert len(pixels) == 1346


def test_other_figures_are_held_against_those_of_the_search(train):
    lines = train().splitlines()
    assert lines[-1].startswith("On validation: accuracy 0.") and "the search had measured 0.250000" in lines[-2]
    assert ", balanced accuracy 0." in lines[-1] and ", log loss " in lines[-1]


@pytest.mark.parametrize("result", [{"metric": "val/recall[8]"}, {"metric": "val/cost", "costs": {"8": {"1": 9}}}])
def test_the_figure_of_the_search_is_measured_again(train, monkeypatch, result):
    monkeypatch.setitem(BUNDLE, "result", {**BUNDLE["result"], **result})
    assert f"{result['metric']} " in train().splitlines()[-2]

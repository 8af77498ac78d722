"""The multilabel task, trained and asked."""
from dataclasses import replace

import numpy as np
import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.task import Measured
from autotricks.data import Loaded
from autotricks.export import weights_of
from autotricks.inference.predictor import Predictor
from autotricks.runs.champion import bundle_document, fitted
from autotricks.tasks.multilabel import MULTILABEL
from autotricks.testing import striped_sets
from autotricks.trainer import evaluate
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make

RATES = (0.6, 0.3, 0.1)


@pytest.fixture(scope="module")
def trained():
    """A small network that has learned which stripes an image has."""
    data = striped_sets(RATES, 200, 8)
    uses = (make("adamw", {"lr": 0.01, "weight_decay": 0.0}), make("mixup", {"alpha": 0.2}))
    return data, run_trial(Bundle(uses, epochs=12, batch_size=20), data)


def test_it_learns_stripes_by_its_own_loss(trained):
    data, result = trained
    assert result.metrics["val/mean_average_precision"] > 0.95 > 0.5 > max(RATES[1:])
    assert {f"val/{name}" for name in MULTILABEL.meter(data.counts, data.validation.targets).names} <= {*result.metrics}


def predictor(data, result, **result_section):
    facts = {"classes": list(data.classes), "image_shape": list(data.image_shape), "fingerprint": "f"}
    document = bundle_document("made", {"source": "stripes", "task": "multilabel"}, Loaded(data, facts), result.bundle,
                               result_section)
    return fitted(document, weights_of(result.model), data)


def test_thresholds_fitted_on_validation_go_into_the_file_and_answers_use_them(trained):
    data, result = trained
    document = predictor(data, result)
    found = document["result"]["fitted"]["thresholds"]
    asked = Predictor(document, result.model.state_dict())
    images = data.test.images.permute(0, 2, 3, 1).numpy()
    probabilities = asked.predict(images)
    again = evaluate.tested(asked.logits, data)
    assert found == again.thresholds
    named = [set(row["labels"].split("|")) - {""} for row in asked.answers(probabilities)]
    assert named == [{name for name, p, limit in zip(data.classes, row, found) if p >= limit} for row in probabilities]
    truth = [{data.classes[label] for label in row} for row in data.test.targets.listed()]
    right = sum(len(one & other) for one, other in zip(named, truth))
    micro = 2 * right / sum(len(one) + len(other) for one, other in zip(named, truth))
    assert again.metrics["micro_f1_at_thresholds"] == pytest.approx(micro)
    assert again.metrics.items() >= evaluate.measured(asked.logits, data.test, data).items()


def test_answers_by_hand():
    decoded = torch.tensor([[0.9, 0.4, 0.2], [0.1, 0.3, 0.2]])
    said = MULTILABEL.answers(decoded, ("cat", "dog", "eel"), 2, {"thresholds": [0.95, 0.3, 0.2]})
    assert said == [
        {"labels": "dog|eel", "class": "cat", "probability": pytest.approx(0.9), "class_2": "dog",
         "probability_2": pytest.approx(0.4)},
        {"labels": "dog|eel", "class": "dog", "probability": pytest.approx(0.3), "class_2": "eel",
         "probability_2": pytest.approx(0.2)}]
    assert [row["labels"] for row in MULTILABEL.answers(decoded, ("cat", "dog", "eel"))] == ["cat", ""]


def test_what_is_fitted_is_read_from_validation_alone():
    data = striped_sets(RATES, 60, 8)
    result = run_trial(Bundle(epochs=1, batch_size=20), data)
    other = replace(data, test=data.test.take(torch.arange(5)))
    assert predictor(data, result) == predictor(other, result)
    fewer = replace(data, validation=data.validation.take(torch.arange(20)))
    assert predictor(data, result)["result"] != predictor(fewer, result)["result"]


def test_a_split_without_a_class_is_measured_by_the_others():
    data = striped_sets((0.6, 0.3, 0.0), 60, 8)
    result = run_trial(Bundle((Use(make("adamw", {}).trick),), epochs=1, batch_size=20), data)
    assert np.isfinite(result.metrics["val/mean_average_precision"])
    fit = MULTILABEL.fit(Measured(torch.zeros(40, 3), data.validation.targets), 3)
    assert fit["thresholds"][2] == 0.5

"""A confirmation of a detector: trained, measured on test and drawn; what it keeps, and what it keeps out."""
import pytest
from safetensors.torch import save

from autotricks.core.objective import Objective
from autotricks.core.reporting import End
from autotricks.data import Settings, load
from autotricks.runs.champion import bundle_document
from autotricks.runs.folder import read_json
from autotricks.runs.ledger import TrialRecord
from autotricks.runs.pictures import PICTURES
from autotricks.runs.trial import Outcome
from autotricks.trial import run_trial
from autotricks.tricks.catalog import bundle_from
from autotricks.workflows.confirm import Confirmer, TrainingResources, repetitions

from .scenes import coco

METRIC = "val/average_precision"


class Here:
    """An engine that trains in this process."""

    def retrain(self, trainings, dataset, slots):
        for training in trainings:
            result = run_trial(training.bundle, dataset)
            weights = save({name: value.contiguous() for name, value in result.model.state_dict().items()})
            yield training, Outcome(0, End.FINISHED, result.metrics, [], 1.0, 1.0, weights)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Confirm a search of two bundles, once for each of a folder with pictures and one without."""
    place = tmp_path_factory.mktemp("judged")
    data = load(Settings(source=coco(place / "scenes", 30, 48, 48), task="detection"))
    bundles = [bundle_from({"model": {"name": "fcos:resnet8"}, "tricks": {"adamw": {"lr": lr}},
                            "training": {"epochs": 1, "batch_size": 16, "seed": 0}}) for lr in (1e-4, 1e-2)]
    trials = [TrialRecord(number, label, bundle.document(), None, bundle.hash,
                          [{"metrics": {METRIC: score}, "end": "finished", "budget": 1, "epochs": 1}], "finished")
              for number, label, bundle, score in zip((0, 1), ("baseline", ""), bundles, (0.1, 0.2), strict=True)]

    def confirmed(folder, pictures):
        folder.mkdir(exist_ok=True)
        judge = Confirmer(folder, data.dataset,
                          lambda bundle: bundle_document("", {"task": "detection"}, data, bundle, {}),
                          Objective(METRIC), TrainingResources(Here()), pictures)
        return judge.confirm(trials, [(1, 0.2), (0, 0.1)], 1, repetitions(trials, 1))
    return place / "run", data.dataset, confirmed


def test_confirmation_keeps_what_the_champion_finds_in_test_images(judged):
    folder, dataset, confirm = judged
    told = confirm(folder, True)
    assert told.baseline == 0 and set(told.test) >= {told.champion, 0} and len(told.test[0].values) == 1
    results = told.document()["classes"][str(told.champion)]
    objects = int((dataset.test.targets.shares > 0).sum())
    assert sum(map(sum, results["confusion"][:-1])) == objects, "each object once"
    assert len(results["confusion"]) == len(dataset.classes) + 1 and len(results["objects"]["curves"][".5"][0]) == 101
    kept = read_json(folder / PICTURES)["images"]
    assert [one["row"] for one in kept[:6]] == [number * len(dataset.test) // 6 for number in range(6)]
    assert not any(one["worst"] for one in kept[:6]) and (kept[0]["width"], kept[0]["height"]) == (48, 48)
    for one in kept:
        there = int((dataset.test.targets.shares[one["row"]] > 0).sum())
        assert sum(box["score"] is None or box["right"] for box in one["boxes"]) == there, "found or missed"


def test_pictures_are_kept_out_where_the_space_says_so(judged):
    folder, _, confirm = judged
    confirm(folder, True)
    assert (folder / PICTURES).exists()
    confirm(folder, False)
    assert not (folder / PICTURES).exists() and (folder / "confirm.json").exists()

"""What MLflow holds of a real search, read back through MLflow itself."""
import json

import pytest

from autotricks.core.objective import SPEED
from autotricks.runs.folder import LEDGER
from autotricks.runs.ledger import read, records
from autotricks.space.load import load_bundle_file
from autotricks.tracking.mlflow import _written
from autotricks.tracking.store import client, default_uri
from autotricks.workflows import search as experiment
from autotricks.workflows.train import train
from tests.conftest import timeless

from .conftest import METRIC, NAME, search


@pytest.fixture(scope="module")
def store(tracked):
    return client(default_uri(tracked.folder.parent))


@pytest.fixture(scope="module")
def runs(store):
    found = store.get_experiment_by_name(NAME)
    return store.search_runs([found.experiment_id], max_results=100)


@pytest.fixture(scope="module")
def parent(runs):
    found, = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    return found


@pytest.fixture(scope="module")
def children(runs, tracked):
    """Run and record of every trial."""
    by_number = {int(run.data.tags["trial"]): run for run in runs if "mlflow.parentRunId" in run.data.tags}
    past = records(read(tracked.folder / LEDGER)[0])
    assert sorted(by_number) == [trial.number for trial in past]
    return [(by_number[trial.number], trial) for trial in past]


def test_nothing_went_wrong(tracked):
    assert tracked.notices == ()


def test_one_parent_and_one_child_a_trial(parent, children, runs):
    assert len(runs) == 1 + 5
    assert {run.data.tags["mlflow.parentRunId"] for run, _ in children} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_parent_says_what_was_searched(parent, tracked, store):
    assert parent.info.run_name == parent.data.tags["run"] == tracked.folder.name
    assert parent.data.params["training.epochs"] == "4" and parent.data.params["search.sampler"] == "random"
    assert "balanced_softmax" in parent.data.params["tricks"]
    assert parent.data.metrics["score"] == tracked.champion.score
    assert {item.path for item in store.list_artifacts(parent.info.run_id)} == {
        "space.yaml", "data.json", "trials.csv", "champion.yaml", "champion.safetensors", "report.html"}


def test_parameters_are_flat(children):
    for run, trial in children:
        expected = {f"{name}.{key}": str(value) for name, values in trial.bundle["tricks"].items()
                    for key, value in values.items()}
        expected |= {name: "True" for name, values in trial.bundle["tricks"].items() if not values}
        expected |= {f"training.{name}": str(value) for name, value in trial.bundle["training"].items()}
        assert {name: value for name, value in run.data.params.items() if name != "bundle"} == expected
    mixed = [trial for run, trial in children if "mixup.alpha" in run.data.params]
    assert mixed and all("mixup" in trial.bundle["tricks"] for trial in mixed)


def test_one_row_of_metrics_an_epoch(children, store):
    for run, trial in children:
        rows = [row for line in trial.rungs for row in line["curve"]]
        tested = "lr_finder" in trial.bundle["tricks"]      # whose steps count as epochs and have no rows
        assert len(rows) < trial.epochs if tested else len(rows) == trial.epochs
        for name in ("train/loss", "train/lr", "val/loss", "val/accuracy", METRIC):
            history = sorted(store.get_metric_history(run.info.run_id, name), key=lambda metric: metric.step)
            assert [metric.step for metric in history] == list(range(1, len(rows) + 1))
            assert [metric.value for metric in history] == [row[name] for row in rows]


def test_tags_and_names_say_how_it_ended(children):
    for run, trial in children:
        budget = str(trial.rungs[-1]["budget"])
        assert (run.data.tags["end"], run.data.tags["rung"], run.data.tags["hash"]) == (trial.end, budget, trial.hash)
        assert run.data.metrics["epochs_spent"] == trial.epochs and run.data.metrics["rung"] == float(budget)
        score, name = trial.score(METRIC), run.info.run_name
        assert name.startswith(f"{trial.number:03d} ")
        assert (f"{score:.4f}" if trial.end == "finished" else trial.end) in name
        assert trial.label in name if trial.label else all(trick in name for trick in trial.bundle["tricks"])
        assert run.data.metrics.get("score" if trial.end == "finished" else "rung_score") == score
        assert ("score" in run.data.metrics) == (trial.end == "finished")


@pytest.mark.parametrize("name", ["val/recall[8]", "val/recall[a/b]", "val/recall[../x]", "val/recall[a: b+c [d]]",
                                  "test/baseline_recall[ä%]", "val/top_5_accuracy", SPEED])
def test_figures_have_names_that_mlflow_takes(name):
    from mlflow.utils.validation import _validate_metric_name  # which takes seconds, also where no test here runs

    (written,) = _written({name: 0.5})
    _validate_metric_name(written)      # raises
    assert written == name or "[" in name


def test_view_sorts_by_score(store):
    tags = store.get_experiment_by_name(NAME).tags
    view = json.loads(tags["mlflow.sharedViewState.autotricks"])
    assert view["orderByKey"] == "metrics.`score`" and view["orderByAsc"] is False


def test_what_is_not_confirmed_is_not_registered(store, tracked):
    assert (tracked.folder / "champion.yaml").exists() and tracked.standing == ""
    assert store.search_registered_models() == []


def test_production_training_repeats_the_score(tracked, tmp_path):
    loaded = load_bundle_file(tracked.folder / "champion.yaml")
    result = train(loaded, tmp_path)
    assert result.metrics[METRIC] == tracked.champion.score == loaded.document.result["score"]
    assert timeless(result.metrics) == timeless(tracked.champion.metrics)
    assert (tmp_path / "champion.safetensors").read_bytes() == (tracked.folder / "champion.safetensors").read_bytes()
    assert load_bundle_file(tmp_path / "champion.yaml").bundle == loaded.bundle


def test_resumed_search_goes_on_in_its_run(tracked, store):
    root = tracked.folder.parent
    options = experiment.Options(root, tracked.folder, confirm=False)
    experiment.search(experiment.resume(tracked.folder), options)
    found = store.search_runs([store.get_experiment_by_name(NAME).experiment_id], max_results=100)
    assert len([run for run in found if "mlflow.parentRunId" not in run.data.tags]) == 1
    assert len(found) == 6


class Interrupter:
    """A listener that presses Ctrl-C when the second trial has reached its first rung."""

    def started(self, trial):
        pass

    def reached(self, trial, outcome, budget, score):
        if trial.number == 1:
            raise KeyboardInterrupt

    def ended(self, trial, end, score):
        pass


@pytest.fixture(scope="module")
def interrupted(tracked, store):
    """The folder of a search that was interrupted and resumed, and its parent's status in between."""
    root, name = tracked.folder.parent, "interrupted"
    with pytest.raises(KeyboardInterrupt):
        search(root, overrides=[f"name={name}"], listeners=[Interrupter()])
    found = store.search_runs([store.get_experiment_by_name(name).experiment_id])
    status = {run.data.tags.get("trial", "parent"): run.info.status for run in found}
    folder, = root.glob(f"{name}-*")
    search(root, resume=folder, loaded=experiment.resume(folder))
    return folder, status


def test_interrupted_search_does_not_stay_running(interrupted):
    assert interrupted[1] == {"parent": "KILLED", "0": "FINISHED", "1": "KILLED"}


def test_resumed_search_has_every_row_once(interrupted, store):
    found = store.search_runs([store.get_experiment_by_name("interrupted").experiment_id])
    past = records(read(interrupted[0] / LEDGER)[0])
    assert sorted(run.data.tags.get("trial", "") for run in found) == ["", "0", "1", "2", "3", "4"]
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in (run for run in found if "trial" in run.data.tags):
        trial = past[int(run.data.tags["trial"])]
        rows = [row for line in trial.rungs for row in line["curve"]]
        history = sorted(store.get_metric_history(run.info.run_id, METRIC), key=lambda metric: metric.step)
        assert [(metric.step, metric.value) for metric in history] == [
            (place, row[METRIC]) for place, row in enumerate(rows, 1)]
        assert run.data.metrics["epochs_spent"] == trial.epochs and run.data.tags["end"] == trial.end

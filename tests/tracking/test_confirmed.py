"""A confirmed search on digits in MLflow: fresh seeds, files, the registered champion, and what sync adds."""
import base64
import io
import json
import pickletools
import shutil
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from autotricks.data import load as load_data
from autotricks.inference.predictor import Predictor
from autotricks.runs.ledger import read, records
from autotricks.space.load import load_bundle_file, load_space
from autotricks.tracking.model_registry import DESCRIPTION
from autotricks.tracking.store import client, default_uri
from autotricks.workflows.sync import sync

from .conftest import METRIC, NAME


@pytest.fixture(scope="module")
def store(confirmed):
    return client(default_uri(confirmed.folder.parent))


@pytest.fixture(scope="module")
def judged(confirmed):
    return json.loads((confirmed.folder / "confirm.json").read_text())


def runs_of(store):
    """Every run of a store by where it hangs: the names of the runs above it are the keys."""
    experiment = store.get_experiment_by_name(NAME)
    return store.search_runs([experiment.experiment_id], max_results=1000)


def history(store, run):
    """Every figure of a run, in the order of its steps."""
    return {name: sorted((one.step, one.value) for one in store.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics}


def content(store):
    """Everything in a store that does not name one of its own runs."""
    runs = runs_of(store)
    names = {run.info.run_id: run.data.tags.get("key", "search") for run in runs}
    assert len(set(names.values())) == len(runs)
    found = {}
    for run in runs:
        tags = {name: names.get(value, value) for name, value in run.data.tags.items()}
        tags["files"] = sorted(json.loads(tags.get("files", "{}")))
        found[names[run.info.run_id]] = (run.info.run_name, run.info.status, tags, run.data.params,
                                         history(store, run),
                                         sorted(item.path for item in store.list_artifacts(run.info.run_id)))
    return found


@pytest.fixture(scope="module")
def held(store):
    """What the search has put into its store, which takes half a second to ask for."""
    return content(store)


def test_nothing_went_wrong(confirmed):
    assert confirmed.notices == () and confirmed.confirmation is not None


def test_fresh_seeds_hang_below_their_trials(confirmed, judged, store):
    runs = {run.info.run_id: run for run in runs_of(store)}
    lines = {line["hash"]: line for line in read(confirmed.folder / "confirm.jsonl")[0]}
    below = [run for run in runs.values() if "seed" in run.data.tags]
    assert sorted(run.data.tags["hash"] for run in below) == sorted(lines) and len(lines) == 4
    for run in below:
        line, trial = lines[run.data.tags["hash"]], runs[run.data.tags["mlflow.parentRunId"]]
        number = trial.data.tags["trial"]
        assert int(number) in (judged["baseline"], *judged["candidates"])
        assert run.data.tags["seed"] == str(line["seed"]) == run.data.params["training.seed"]
        assert {name: value for name, value in run.data.params.items() if name not in ("training.seed", "bundle")} == {
            name: value for name, value in trial.data.params.items() if name not in ("training.seed", "bundle")}
        assert run.data.metrics["fresh_score"] == line["metrics"][METRIC] and "score" not in run.data.metrics
        assert history(store, run)[METRIC] == [(place, row[METRIC]) for place, row in enumerate(line["curve"], 1)]
        assert len(line["curve"]) == 4
        values = judged["test"].get(number, {}).get("values")
        assert run.data.metrics.get("test/balanced_accuracy") == (
            values[line["seed"] - 1000] if values else None)


def test_search_shows_what_was_confirmed(confirmed, judged, store):
    parent, = (run for run in runs_of(store) if "key" not in run.data.tags)
    test, metrics = judged["test"], parent.data.metrics
    assert metrics["test/balanced_accuracy"] == test[str(judged["champion"])]["mean"]
    assert metrics["test/baseline_balanced_accuracy"] == test[str(judged["baseline"])]["mean"]
    assert metrics["test/difference"] == pytest.approx(
        metrics["test/balanced_accuracy"] - metrics["test/baseline_balanced_accuracy"])
    assert metrics["score"] == confirmed.champion.score and metrics["optimism"] == judged["optimism"]
    assert (parent.data.tags["verdict"], parent.data.tags["end"]) == (judged["verdict"], "finished")
    files = {item.path for item in store.list_artifacts(parent.info.run_id)}
    assert files == {"space.yaml", "data.json", "trials.csv", "champion.yaml", "champion.safetensors", "confirm.json",
                     "report.html"}
    path = Path(store.download_artifacts(parent.info.run_id, "confirm.json"))
    assert path.read_bytes() == (confirmed.folder / "confirm.json").read_bytes()


@pytest.fixture(scope="module")
def version(store):
    found, = store.search_model_versions(f"name='{NAME}'")
    return store.get_model_version(NAME, found.version)


def test_champion_is_registered_with_its_figures(version, confirmed, judged):
    facts = json.loads((confirmed.folder / "data.json").read_text())
    assert version.tags["hash"] == confirmed.champion.trial.bundle.hash and version.tags["metric"] == METRIC
    assert version.tags["fingerprint"] == facts["fingerprint"] and version.tags["verdict"] == judged["verdict"]
    assert json.loads(version.tags["test"]) == judged["test"][str(judged["champion"])]["values"]
    assert json.loads(version.tags["seeds"]) == [1000, 1001] and version.tags["run"] == confirmed.folder.name
    assert version.aliases == ["champion"]
    assert confirmed.standing == f"{NAME}/1 is the champion: there was none."


def folder_of(store, version):
    return Path(urlparse(store.get_model_version_download_uri(NAME, version.version)).path)


def test_card_is_the_description(version, store, confirmed, judged):
    card = (folder_of(store, version) / "data/bundle/MODEL_CARD.md").read_text()
    note = "\n\n(cut; the whole card is MODEL_CARD.md among the version's files)\n"
    lines = card.splitlines(keepends=True)
    room = [sum(map(len, lines[:count])) <= DESCRIPTION - len(note) for count in range(len(lines) + 1)]
    whole = "".join(lines[:sum(room) - 1]).removesuffix("\n")     # all lines that a database keeps beside the note
    assert version.description == (card if len(card) <= DESCRIPTION else whole + note)
    assert card.startswith(f"# Model card: {NAME}, {confirmed.folder.name}\n")
    spread = judged["test"][str(judged["champion"])]
    assert f"**{spread['mean']:.4f}** ± {spread['deviation']:.4f}" in card


def test_registered_files_hold_no_pickle(version, store):
    folder = folder_of(store, version)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {"MLmodel", "data/bundle/champion.yaml", "data/bundle/champion.safetensors"} <= set(files)
    assert {path.suffix for path in files.values()} <= {"", ".yaml", ".safetensors", ".json", ".txt", ".md"}
    for name, path in files.items():
        content = path.read_bytes()
        assert not content.startswith(b"\x80") and not content.startswith(b"PK"), name     # pickle, zip
        with pytest.raises(ValueError):
            list(pickletools.genops(content))
    assert "pickle" not in (folder / "MLmodel").read_text()


@pytest.fixture(scope="module")
def pictures():
    test = load_data(load_space("long_tail.yaml").document.data.settings()).dataset.test
    return test.images.permute(0, 2, 3, 1).numpy()[:40]


def png(pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
    return buffer.getvalue()


def test_registered_model_names_what_the_predictor_finds(version, confirmed, pictures):
    import mlflow

    loaded = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    expected = Predictor.load(confirmed.folder).predict(pictures)
    files = [png(pixels) for pixels in pictures]
    for images in ({"images": pictures}, pd.DataFrame({"images": list(pictures)}), pd.DataFrame({"images": files}),
                   pd.DataFrame({"images": [base64.b64encode(file).decode() for file in files]})):
        found = loaded.predict(images)
        np.testing.assert_array_equal([list(row.values()) for row in found["probabilities"]], expected)
        assert list(found["probabilities"][0]) == list("0123456789")
        assert list(found["class"]) == [str(place) for place in expected.argmax(1)]
        np.testing.assert_array_equal(found["probability"], expected.max(1))
    assert [column.name for column in loaded.metadata.get_output_schema().inputs] == list(found.columns)


def test_sync_adds_nothing_to_what_is_there(confirmed, store, held):
    found = sync(confirmed.folder)
    assert (found.runs, found.figures, found.files, found.problem) == (0, 0, 0, "")
    assert content(store) == held and len(store.search_model_versions()) == 1


def test_sync_fills_an_empty_store_and_one_that_was_left_half_full(confirmed, store, held, stocked):
    """The second half as after a server that went away; what is then there is what the search itself would have put."""
    root = stocked("half")
    folder = root / confirmed.folder.name
    shutil.copytree(confirmed.folder, folder)
    whole = (folder / "trials.jsonl").read_bytes().splitlines(keepends=True)
    late = [path for path in folder.iterdir() if path.name not in ("space.yaml", "data.json", ".lock")]
    for path in late:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    second_trial = next(place for place, line in enumerate(whole) if json.loads(line).get("trial") == 1)
    (folder / "trials.jsonl").write_bytes(b"".join(whole[:second_trial + 1]))
    begun = records(read(folder / "trials.jsonl")[0])
    first = sync(folder)
    other = client(default_uri(root))
    assert first.runs == 1 + len(begun) and first.standing == ""
    assert {run.info.status for run in runs_of(other)} >= {"KILLED"}     # the search and its second trial
    shutil.copytree(confirmed.folder, folder, dirs_exist_ok=True)
    second = sync(folder)
    assert first.runs + second.runs == len(runs_of(store)) == 1 + 5 + 4
    assert second.standing == f"{NAME}/1 is the champion: there was none."
    assert content(other) == held
    third = sync(folder)
    assert (third.runs, third.figures, third.files) == (0, 0, 0)
    assert load_bundle_file(str(folder / "champion.yaml")).bundle == confirmed.champion.trial.bundle

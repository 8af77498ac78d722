"""Which version stands: aliases in a real SQLite store, with figures made so that the intervals are known by hand."""
import json

import pytest

from autotricks import cli, export
from autotricks.core.bundle import Bundle
from autotricks.core.objective import SPEED
from autotricks.errors import RunError
from autotricks.tracking.model_registry import Entry, compared, promote, register
from autotricks.tracking.store import client, default_uri
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make

from ..conftest import make_dataset

GOOD, BETTER, UNSURE = [0.70, 0.71, 0.72], [0.80, 0.81, 0.83], [0.69, 0.74, 0.72]


def tags(test, seeds=(1000, 1001, 1002), fingerprint="f" * 64, metric="val/accuracy", mode="max", **more):
    return {"fingerprint": fingerprint, "metric": metric, "mode": mode, "seeds": json.dumps(list(seeds)),
            "test": json.dumps(test), **more}


def test_paired_interval_decides():
    """Differences .10, .10, .11: mean .10333, deviation .0057735, t(.975, 2) = 4.3027, half .014342."""
    better, why = compared(tags(BETTER), tags(GOOD), "m/1")
    assert better and "better than the champion m/1 on the same test images: val/accuracy +0.1033" in why
    assert "95% interval +0.0890 to +0.1177 (paired, 3 seeds)" in why
    assert compared(tags(UNSURE), tags(GOOD), "m/1")[0] is False
    assert compared(tags(GOOD), tags(GOOD), "m/1")[0] is False, "the same is not better"


def test_where_less_is_better_the_sign_turns():
    assert compared(tags(BETTER, mode="min"), tags(GOOD, mode="min"), "m/1")[0] is False
    better, why = compared(tags(GOOD, mode="min"), tags(BETTER, mode="min"), "m/1")
    assert better and "+0.1033" in why


def test_other_seeds_are_two_groups():
    """Welch: variances .0001 and .00023333 over 3 each, error .010541, degrees 3.4483, t 2.9605, half .031207."""
    better, why = compared(tags(BETTER, (0, 1, 2)), tags(GOOD), "m/1")
    assert better and "+0.1033, 95% interval +0.0721 to +0.1345 (unpaired, 3 and 3 seeds)" in why


def test_one_seed_moves_nothing():
    better, why = compared(tags([0.9], [1000]), tags([0.1], [1000]), "m/1")
    assert not better and "no interval from a single seed" in why


@pytest.mark.parametrize(("other", "said"), [
    ({"fingerprint": "e" * 64}, "has the fingerprint ffffffffffff, that of the champion m/1 has eeeeeeeeeeee"),
    ({"metric": "val/loss"}, "the champion m/1 has metric val/loss, this one has val/accuracy"),
    ({"mode": "min"}, "has mode min, this one has max"),
    ({"costs": "[[0, 1], [9, 0]]"}, "the champion m/1 counts other costs of mistakes than this one")])
def test_what_does_not_compare_moves_nothing(other, said):
    better, why = compared(tags(BETTER), tags(GOOD, **other), "m/1")
    assert not better and said in why and "\n" not in why


def test_speeds_of_two_searches_do_not_compare():
    """However sure each is: another machine, or the same with more to do, gives other images a second."""
    fast = {"metric": SPEED, "test": json.dumps([900.0, 901.0, 902.0])}
    better, why = compared({**tags(BETTER), **fast}, tags(GOOD, metric=SPEED), "m/1")
    assert not better and why.startswith("speeds do not compare with those of the champion m/1") and "\n" not in why


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trained bundle."""
    folder, dataset = tmp_path_factory.mktemp("trained"), make_dataset()
    bundle = Bundle((make("sgd", {"lr": 0.05}),), epochs=1, batch_size=16)
    document = {"name": "x", "classes": list(dataset.classes), **bundle.document(), "result": {},
                "images": {"shape": list(dataset.image_shape), "mean": list(dataset.mean), "std": list(dataset.std)}}
    export.write(folder, document, export.weights_of(run_trial(bundle, dataset).model))
    return [folder / export.BUNDLE, folder / export.WEIGHTS]


@pytest.fixture(scope="module")
def store(stocked):
    root = stocked("registry")
    found = client(default_uri(root))
    found.create_experiment("made", (root / "artifacts").as_uri())
    return found, root


def registered(store, files, test, hash_, **more):
    """Register figures as those of a run of their own; return version and line."""
    experiment = store.get_experiment_by_name("made").experiment_id
    known = [run.info.run_id for run in store.search_runs([experiment], f"tags.run = '{hash_}'")]
    run = known[0] if known else store.create_run(experiment, tags={"run": hash_}).info.run_id
    columns = {"class": str, "probability": float}
    return register(store, run, Entry("made", files, (1, 8, 8), "card\n" * 2000, columns, tags(
        test, hash=hash_, run=hash_, **more)))


def aliases(store):
    return {name: str(number) for name, number in store.get_registered_model("made").aliases.items()}


def test_alias_moves_to_the_better_alone_and_for_a_person(store, files, monkeypatch, capsys):
    store, root = store
    assert registered(store, files, GOOD, "a") == ("1", "made/1 is the champion: there was none.")
    number, line = registered(store, files, UNSURE, "b")
    assert number == "2" and line.startswith("made/2 is a challenger: not shown to be better than the champion made/1")
    assert aliases(store) == {"champion": "1", "challenger": "2"}
    number, line = registered(store, files, BETTER, "c", fingerprint="e" * 64)
    assert number == "3" and "figures on other data do not compare" in line and line.startswith("made/3 is a chall")
    assert aliases(store) == {"champion": "1", "challenger": "3"}
    number, line = registered(store, files, BETTER, "d")
    assert number == "4" and line.startswith("made/4 is the champion: better than the champion made/1")
    assert aliases(store) == {"champion": "4", "challenger": "3"}
    assert registered(store, files, BETTER, "d") == ("4", "made/4 is the champion.")
    assert len(store.search_model_versions("name='made'")) == 4
    description = store.get_model_version("made", "4").description
    assert len(description) <= 5000 and "MODEL_CARD.md" in description

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("sys.argv", ["autotricks", "promote", "made/3", "--by", "Ada", "--root", str(root)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert capsys.readouterr().out == "made/3 is the champion in place of made/4, as Ada says.\n"
    assert aliases(store) == {"champion": "3"}
    version = store.get_model_version("made", "3")
    assert version.tags["promoted_by"] == "Ada" and version.tags["promoted_at"].endswith("Z")
    assert promote(store, "a").startswith("made/1 is the champion in place of made/3, as ")
    with pytest.raises(RunError, match=r"made/9: neither a version .* versions: made/4, made/3, made/2, made/1\."):
        promote(store, "made/9")


def test_promote_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)    # MLflow sets it in whatever process it was used in
    monkeypatch.setattr("sys.argv", ["autotricks", "promote", "x/1", "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2 and "holds no mlflow.db" in capsys.readouterr().err

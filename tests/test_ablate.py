import json
import math
from dataclasses import replace
from statistics import fmean

import pytest

from autotricks import cli
from autotricks.cli.views import ablation
from autotricks.core.bundle import Bundle
from autotricks.data import load as load_data
from autotricks.errors import RunError
from autotricks.runs.champion import keep
from autotricks.runs.folder import read_json
from autotricks.runs.ledger import Ledger, read
from autotricks.runs.trial import Champion, Trial
from autotricks.space import load_space
from autotricks.stats.intervals import interval
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make
from autotricks.tuning.engines.engine import TrainingOptions
from autotricks.tuning.engines.local import LocalEngine
from autotricks.workflows.ablate import ablate, effect
from autotricks.workflows.confirm import FRESH
from autotricks.workflows.contrasts import Change, pairs
from autotricks.workflows.reopen import settle

METRIC = "val/balanced_accuracy"
SPACE = """name: planted
data: {source: digits, imbalance: {factor: 5}}
training: {epochs: 3}
objective: {metric: val/balanced_accuracy, mode: max}
search: {engine: local, parallel: 2}
tricks:
  sgd: {lr: {loguniform: [1e-6, 0.5]}}
  label_smoothing: {epsilon: {uniform: [0, 0.2]}}
"""


# --- one comparison, by hand

def test_simultaneous_intervals_by_the_table_of_student():
    found = interval([0.1, 0.2, 0.3, 0.4, 0.5], 5)     # 5% over 5 comparisons: t(.995, 4) = 4.6041
    assert (found.low, found.high) == pytest.approx((0.3 - 4.6041 * 0.0707107, 0.3 + 4.6041 * 0.0707107), abs=1e-5)
    found = interval([0.0, 0.2], 10)                     # t(.9975, 1) = 127.321, standard error .1
    assert (found.low, found.high) == pytest.approx((0.1 - 12.7321, 0.1 + 12.7321), abs=1e-4)


A, B, BOTH, NONE = (Bundle(tuple(make(name, {}) for name in names))
                    for names in (["ema"], ["mixup"], ["ema", "mixup"], []))
SEED = [0.3, -0.2, 0.9]         # what the seeds do, alike for all bundles
PLANTED = {A: [1.0, 1.0, 1.0], B: [2.0, 2.0, 2.0], BOTH: [8.0, 8.1, 8.2], NONE: [0.0, 0.0, 0.0]}


def scores(bundle):
    return [value + seed for value, seed in zip(PLANTED[bundle], SEED)]


def test_an_effect_is_paired_over_seeds():
    change = Change("ema", "without", ((1, BOTH), (-1, B)), "a note")
    seconds = {BOTH: 6.0, B: 4.0}
    found = effect(change, scores, lambda *both: tuple(map(seconds.get, both)), 5)  # 6, 6.1, 6.2; t(.995, 2) = 9.9248
    assert found.mean == pytest.approx(6.1)
    half = 9.9248 * 0.1 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((6.1 - half, 6.1 + half), abs=1e-5)
    assert (found.seconds_with, found.seconds_without, found.seconds_ratio) == (6.0, 4.0, 1.5)
    assert (found.seeds, found.note) == (3, "a note")


def test_an_interaction_is_the_difference_of_differences():
    change, = pairs(BOTH, NONE, ["ema", "mixup"])
    found = effect(change, scores, lambda *both: (1.0, 1.0), 1)        # 8 - 1 - 2 = 5.0, 5.1, 5.2: t(.975, 2) = 4.3027
    assert found.mean == pytest.approx(5.1) and found.seconds_ratio is None
    assert found.high == pytest.approx(5.1 + 4.3027 * 0.1 / math.sqrt(3), abs=1e-5)


def test_a_training_that_broke_down_leaves_no_figure_but_a_word():
    broken = {BOTH: [1.0, 1.0, 1.0], B: [math.nan, 0.5, math.nan]}
    found = effect(Change("ema", "without", ((1, BOTH), (-1, B)), "x"), broken.get, lambda *both: (1.0, 1.0), 1)
    assert (found.mean, found.low, found.high) == (None, None, None)
    assert found.note == "x; broke down: 2 of 3 without it"
    found = effect(Change("ema", "without", (), "cannot be"), broken.get, lambda *both: (1.0, 1.0), 1)
    assert (found.mean, found.seeds, found.note) == (None, 0, "cannot be")


def test_a_single_seed_says_nothing_sure():
    change = Change("ema", "alone", ((1, A), (-1, NONE)))
    found = effect(change, lambda bundle: PLANTED[bundle][:1], lambda *both: (1.0, 1.0), 1)
    assert (found.mean, found.low, found.high) == (1.0, -math.inf, math.inf)
    assert ablation.verdict(found) == "unclear" and ablation.forest(found, 0.0, 1.0) == "|" + "-" * 14 + "o"


# --- a run with planted effects: smoothing by nothing, and a learning rate that hardly learns

def planted(root, tricks, space=SPACE):
    """A run's folder in which a search has found the bundle of these tricks best."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "given.yaml").write_text(space, "utf-8")
    loaded = load_space(str(root / "given.yaml"))
    data, folder = load_data(loaded.document.data.settings()), root / "planted-1"
    folder.mkdir()
    settle(folder, loaded, data).close()
    champion = replace(loaded.space.frame, uses=tuple(make(name, values) for name, values in tricks.items()))
    ledger = Ledger(folder / "trials.jsonl")
    for number, bundle in enumerate((loaded.space.baseline(), champion)):
        ledger.append("trial", trial=number, label="" if number else "baseline", bundle=bundle.document(),
                      picks=loaded.space.locate(bundle), hash=bundle.hash)
        ledger.append("rung", trial=number, budget=3, metrics={METRIC: number / 2}, epochs=3, seconds=1.0,
                      end="finished")
        ledger.append("end", trial=number, reason="finished")
    ledger.close()
    keep(folder, loaded, data, Champion(Trial(1, "", champion), 0.5, {METRIC: 0.5}, b""))
    return folder, champion, loaded.space.baseline(), data.dataset


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder, champion, baseline, dataset = planted(
        tmp_path_factory.mktemp("runs"), {"sgd": {"lr": 1e-6}, "label_smoothing": {"epsilon": 0.0}})
    trained, stopped = [], []

    class Interrupted(LocalEngine):
        """One that hears Ctrl-C before the third training is taken in."""

        def retrain(self, *given):
            for place, pair in enumerate(super().retrain(*given)):
                if place == 2 and not stopped:
                    stopped.append(True)
                    raise KeyboardInterrupt
                trained.append(pair[0].key)
                yield pair
    engine = Interrupted(TrainingOptions())
    with pytest.raises(KeyboardInterrupt):
        ablate(folder, 3, 0, engine=engine)
    result = ablate(folder, 3, 2, engine=engine)
    return folder, result, trained, (champion, baseline, dataset)


def rows(found):
    return {(row.trick, row.kind): row for row in found.effects}


def test_what_does_nothing_has_an_effect_of_nothing(found):
    for kind in ("without", "alone"):
        row = rows(found[1])["label_smoothing", kind]
        assert (row.mean, row.low, row.high) == (0.0, 0.0, 0.0)
        assert ablation.verdict(row) == "nothing"


def test_what_harms_is_found_out(found):
    _, result, _, (champion, baseline, dataset) = found
    for kind in ("without", "alone"):
        row = rows(result)["sgd: other values", kind]
        assert row.high < 0 and ablation.verdict(row) == "harms"
    assert result.comparisons == 4 and result.seeds == (2000, 2001, 2002)
    differences = []
    for seed in result.seeds:
        one, other = (run_trial(replace(bundle, seed=seed), dataset).metrics[METRIC]
                      for bundle in (champion, replace(baseline, uses=(*baseline.uses, champion.uses[0]))))
        differences.append(one - other)
    row = rows(result)["sgd: other values", "without"]
    assert row.mean == pytest.approx(fmean(differences), abs=1e-12)
    assert row.low == pytest.approx(interval(differences, 4).low, abs=1e-12)
    assert (result.trial, result.champion.mean < result.baseline.mean) == (1, True)


def test_two_that_do_not_meddle_do_not_interact(found):
    row = rows(found[1])["sgd x label_smoothing", "pair"]
    assert (row.mean, row.low, row.high) == (0.0, 0.0, 0.0) and found[1].pair_comparisons == 1


def test_nothing_is_trained_twice(found):
    folder, result, trained, _ = found
    assert len(trained) == len(set(trained)) == 12, "four bundles, of which each is in several comparisons"
    lines = read(folder / "confirm.jsonl")[0]
    assert [line["hash"] for line in lines] == trained
    before = len(lines)
    told = []
    again = ablate(folder, 3, 2, on_progress=lambda done, total: told.append((done, total)))
    assert again == result and told[0] == (12, 12) and len(read(folder / "confirm.jsonl")[0]) == before


def test_what_another_sitting_trained_is_trained_for_its_time_alone(tmp_path):
    """With further seeds, for the clock; those known count as scores."""
    folder, champion, baseline, _ = planted(
        tmp_path, {"sgd": {"lr": 1e-6}, "label_smoothing": {"epsilon": 0.0}})
    ledger = Ledger(folder / "confirm.jsonl")
    for bundle in (champion, baseline):
        fresh = replace(bundle, seed=2000)
        ledger.append("ablate", hash=fresh.hash, seed=2000, bundle=fresh.document(), end="finished", epochs=3,
                      metrics={METRIC: 0.25 if bundle == champion else 0.75}, seconds=99.0)
    ledger.close()
    result = ablate(folder, 1, 0)
    assert (result.champion.values, result.baseline.values) == ((0.25,), (0.75,))
    added = read(folder / "confirm.jsonl")[0][2:]
    assert sorted(line["seed"] for line in added) == [2000, 2000, 2001, 2001, 2002, 2002]
    assert all(row.seconds_with < 50 and row.seconds_without < 50 for row in result.effects)


def test_the_seeds_that_chose_the_champion_do_not_judge_it(tmp_path):
    """Confirmation's trainings, made up here to say that the champion is far better, count for nothing."""
    folder, champion, baseline, _ = planted(tmp_path, {"sgd": {"lr": 1e-6}})
    ledger = Ledger(folder / "confirm.jsonl")
    for bundle, value in ((champion, 1.0), (baseline, 0.0)):
        fresh = replace(bundle, seed=FRESH)
        ledger.append("confirm", hash=fresh.hash, seed=FRESH, bundle=fresh.document(), end="finished", epochs=3,
                      metrics={METRIC: value}, seconds=1.0)
    ledger.close()
    result = ablate(folder, 1, 0)
    assert FRESH not in result.seeds and result.champion.mean < result.baseline.mean


def test_what_is_kept_and_printed(found, capsys, monkeypatch):
    folder, result, _, _ = found
    document = read_json(folder / "ablation.json")
    assert document == result.document() and document["importance"] is None
    assert set(document["effects"][0]) >= {"trick", "kind", "mean", "low", "high", "seconds_ratio", "seeds", "note"}
    assert (document["metric"], document["comparisons"]) == (METRIC, 4) and "Bonferroni" in document["method"]
    ablation.ablated(result, folder, as_json=True)
    assert json.loads(capsys.readouterr().out) == document
    monkeypatch.setenv("COLUMNS", "100")
    ablation.ablated(result, folder, as_json=False)
    said = capsys.readouterr().out
    row = rows(result)["sgd: other values", "without"]
    line = next(line for line in said.splitlines() if line.startswith("sgd: other values"))
    assert f"{row.mean:+.4f}" in line and f"{row.low:+.4f} to {row.high:+.4f}" in line and line.split()[-1] == "harms"
    assert max(map(len, said.splitlines()[:20])) <= 100


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_no_figure_is_cut_however_narrow_the_terminal(found, capsys, monkeypatch, columns):
    """A pipe counts as 80 columns; names may fold, figures may not."""
    folder, result, _, _ = found
    long = replace(result.effects[0], trick="label_aware_smoothing", mean=-12.3456, low=-98.7654, high=74.0742)
    monkeypatch.setenv("COLUMNS", columns)
    ablation.ablated(replace(result, effects=(long, *result.effects)), folder, as_json=False)
    said = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in said and "unclear" in said
    close = " ".join(said.split())
    for row in (long, *result.effects):
        if row.mean is not None:
            assert f"{row.mean:+.4f} {row.low:+.4f} to {row.high:+.4f}" in close
            assert f"{f'x{row.seconds_ratio:.2f}' if row.seconds_ratio else '-'} {ablation.verdict(row)}" in close
    assert ("label_aware_smoothing" in said) == (columns != "60")


def test_the_command_prints_one_document_for_machines(found, capsys, monkeypatch):
    folder, result, _, _ = found
    monkeypatch.setattr("sys.argv", ["autotricks", "ablate", str(folder), "--seeds", "3", "--pairs", "2", "--json"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0 and json.loads(capsys.readouterr().out) == result.document()


def test_the_scale_of_a_forest():
    change = Change("x", "alone", ((1, A), (-1, NONE)))
    row = replace(effect(change, scores, lambda *both: (1.0, 1.0), 1), mean=0.5, low=0.0, high=1.0)
    assert ablation.forest(row, -1.0, 1.0) == " " * 8 + "|--o----"


def test_a_champion_that_is_the_baseline_has_nothing_to_ablate(tmp_path):
    folder, _, _, _ = planted(tmp_path, {"sgd": {}})
    with pytest.raises(RunError, match="its champion is the baseline itself; there is no trick to ablate"):
        ablate(folder, 2, 0)
    (folder / "champion.yaml").unlink()
    with pytest.raises(RunError, match=r"holds no champion\.yaml"):
        ablate(folder, 2, 0)


def test_less_loss_is_better(tmp_path):
    space = SPACE.replace("{metric: val/balanced_accuracy, mode: max}", "{metric: val/loss, mode: min}")
    folder, _, _, _ = planted(tmp_path, {"sgd": {"lr": 1e-6}}, space)
    ledger = Ledger(folder / "confirm.jsonl")
    for name, value in (("champion", 2.0), ("baseline", 1.5)):
        loaded = load_space(str(folder / "space.yaml")).space
        bundle = loaded.baseline() if name == "baseline" else replace(
            loaded.frame, uses=(make("sgd", {"lr": 1e-6}),))
        fresh = replace(bundle, seed=2000)
        ledger.append("confirm", hash=fresh.hash, seed=2000, bundle=fresh.document(), end="finished", epochs=3,
                      metrics={"val/loss": value}, seconds=1.0)
    ledger.close()
    result = ablate(folder, 1, 0)
    assert [row.mean for row in result.effects] == [-0.5, -0.5] and result.champion.mean == 2.0

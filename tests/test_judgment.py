"""What is printed of a confirmation: the figures that it holds, each in its place."""
import json
from dataclasses import replace

import pytest

from autotricks.cli.views import confirmation, search as search_view
from autotricks.runs.ledger import Ledger
from autotricks.stats.spread import SeedStatistics
from autotricks.stats.test_results import Calibration, ClassResults, Mistakes, ObjectResult
from autotricks.stats.verdict import Addition, added
from autotricks.workflows import sync
from autotricks.workflows.confirm import Confirmation, Interval


def results(recalls, error, calibrated):
    by_class = {"recall": tuple(value and SeedStatistics.of(value) for value in recalls)}
    return ClassResults(by_class, None, Calibration(1.5, error, calibrated))


def made(best, base):
    return Confirmation(
        "balanced_accuracy", (1000, 1001), (4,), 4, 0, 0.9, {4: SeedStatistics.of([0.8, 0.8])},
        {4: SeedStatistics.of([0.75, 0.85]), 0: SeedStatistics.of([0.5, 0.5])}, Interval(0.3, 0.2, 0.4), 0.1,
        {4: {"many_shot": 0.91, "few_shot": 0.72, "loss": 1.0}, 0: {"many_shot": 0.93, "few_shot": 0.11, "loss": 2.0}},
        "better than the baseline", classes={4: results(best, 0.25, 0.0625), 0: results(base, 0.5, 0.125)})


FOUND = made([(0.5, 1.0), None, (0.25, 0.25)], [(0.5, 0.5), None, (1.0, 1.0)])


def test_groups_and_calibration_are_said_before_and_after():
    assert confirmation.further(FOUND) == [
        "  many-shot 0.9100 (baseline 0.9300), few-shot 0.7200 (baseline 0.1100)",
        "  calibration error 0.2500 (baseline 0.5000), with temperature scaling 0.0625 (0.1250)"]


def test_every_class_that_test_has_is_listed(tmp_path, capsys):
    (tmp_path / "data.json").write_text(json.dumps({"classes": ["cat", "eel", "[b]ox"]}))
    confirmation.confirmed(FOUND, tmp_path, False)
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("Recall of each class on test:")
    assert lines[place + 2:place + 5] == ["  cat    0.7500 +- 0.3536    0.5000 +- 0.0000",
                                          "  [b]ox  0.2500 +- 0.0000    1.0000 +- 0.0000", ""]


def test_of_many_classes_those_that_change_most_are_listed_in_their_order():
    base = [(0.5, 0.5)] * 40
    best = [((40 - place) / 100 + 0.5,) * 2 for place in range(40)]
    lines = confirmation.classes(made(best, base), [f"c{place}" for place in range(40)])
    assert "the 30 of 40 that change most" in lines[0]
    assert [line.split()[0] for line in lines[2:]] == [f"c{place}" for place in range(30)]


def test_a_tracker_hears_of_groups_and_calibration():
    summary = sync.confirmed_metrics(FOUND.document())
    assert summary["test/few_shot"] == 0.72 and summary["test/calibrated_error"] == 0.0625
    assert summary["test/balanced_accuracy"] == pytest.approx(0.8)


def test_what_errors_of_each_kind_cost_is_said_of_detectors():
    def finds(cost):
        return replace(FOUND.classes[4], calibration=None, objects=ObjectResult({}, {
            "class": Mistakes(3, cost), "missed": Mistakes(1, 0.125)}))
    detector = replace(FOUND, classes={4: finds(0.25), 0: finds(0.5)})
    assert confirmation.further(detector)[1:] == [
        "  average precision at .5 lost to errors, by kind (baseline's): class 0.2500 (0.5000), missed 0.1250 (0.1250)"]
    assert confirmation.further(replace(detector, champion=0, figures={0: {}}))[-1] == (
        "  average precision at .5 lost to errors, by kind: class 0.5000, missed 0.1250"), "the baseline itself"
    told = sync.confirmed_metrics(detector.document())
    assert (told["test/lost_to_class"], told["test/lost_to_missed"]) == (0.25, 0.125)


def test_an_old_confirmation_without_classes_is_printed():
    old = replace(FOUND, classes={})
    assert len(confirmation.further(old)) == 1 and confirmation.classes(old, ["cat", "eel", "ox"]) == []


@pytest.mark.parametrize(("optimism", "said"), [
    (0.1, "0.9000, was 0.1000 too good"), (-0.1, "0.9000, was 0.1000 too modest"), (0.00004, "0.9000, held")])
def test_how_far_the_search_was_off(optimism, said):
    last = confirmation.verdict(replace(FOUND, optimism=optimism))[-1]
    assert f"What the search thought of it, {said} (validation" in last


# --- what the search added to the best bundle that it started from

SPAN = Interval(0.05, 0.0125, 0.0875)


def with_addition(start, name, champion=4, difference=SPAN):
    told = Addition(start, name, difference, added(difference, name, champion == start, champion == 0))
    return replace(FOUND, champion=champion, addition=told)


@pytest.mark.parametrize(("found", "said"), [
    (with_addition(2, "mixup_recipe"),
     "  The search: [bold]added to the published bundle mixup_recipe[/bold], +0.0500, 95% interval +0.0125 to +0.0875"),
    (with_addition(0, "baseline"),
     "  The search: [bold]added to the baseline[/bold], +0.0500, 95% interval +0.0125 to +0.0875"),
    (with_addition(4, "mixup_recipe", difference=Interval(0.0, 0.0, 0.0)),
     "  The search: [bold]no more than the published bundle mixup_recipe: on validation nothing was better[/bold]"),
    (with_addition(0, "baseline", champion=0, difference=Interval(0.0, 0.0, 0.0)),
     "  The search: [bold]nothing helps: on validation no bundle was better than the baseline[/bold]")])
def test_what_the_search_added_is_said(found, said):
    assert confirmation.addition(found) == [said] and said in confirmation.verdict(found)


def test_a_confirmation_of_an_older_version_says_nothing_of_it():
    assert confirmation.addition(FOUND) == [] and not any("The search:" in line for line in confirmation.verdict(FOUND))
    assert not any("added" in name for name in sync.confirmed_metrics(FOUND.document()))


def test_a_bundles_name_is_printed_as_it_is(tmp_path, capsys):
    """The name of a start bundle may be any path."""
    (tmp_path / "data.json").write_text(json.dumps({"classes": ["cat", "eel", "ox"]}))
    confirmation.confirmed(with_addition(2, "/runs/[old]/[/mine].yaml"), tmp_path, False)
    assert "added to the published bundle /runs/[old]/[/mine].yaml, +0.0500" in capsys.readouterr().out


def test_a_tracker_hears_what_was_added():
    told = sync.confirmed_metrics(with_addition(2, "mixup_recipe").document())
    assert {name: value for name, value in told.items() if "added" in name} == {
        "test/added": 0.05, "test/added_low": 0.0125, "test/added_high": 0.0875}
    single = with_addition(2, "mixup_recipe", difference=Interval(0.05, float("-inf"), float("inf")))
    assert {name: value for name, value in sync.confirmed_metrics(single.document()).items() if "added" in name} == {
        "test/added": 0.05}


def test_it_is_said_which_value_of_the_score_is_which(tmp_path, capsys):
    """Of the trial in the ledger, where there is one; by all trials; over fresh seeds; in the champion's file."""
    found = replace(FOUND, searched=0.84375)
    fresh = found.validation[found.champion]
    rest = (f"0.8438 as the search judged it by all trials, {fresh.mean:.4f} over fresh seeds, {fresh.values[0]:.4f} "
            f"with seed {found.seeds[0]}, which champion.yaml holds.")
    assert confirmation.scores(found, 0.875) == (
        f"  Its score has several values: 0.8750 of its one training in the search, {rest}")
    (tmp_path / "data.json").write_text(json.dumps({"classes": ["cat", "eel", "ox"]}))
    confirmation.confirmed(found, tmp_path, False)
    assert f"  Its score has several values: {rest}" in capsys.readouterr().out.splitlines()
    ledger = Ledger(tmp_path / "trials.jsonl")
    number = found.champion
    ledger.append("trial", trial=number, label="", bundle={}, hash="a", seed=0, picks=None)
    ledger.append("rung", trial=number, rung=0, budget=9, metrics={f"val/{found.metric}": 0.875}, curve=[], epochs=9.0,
                  seconds=1.0, cpu=1.0, micro_batches=1, attempt=1, hash="a", end="finished")
    ledger.close()
    confirmation.confirmed(found, tmp_path, False)
    assert "0.8750 of its one training in the search, 0.8438 as" in capsys.readouterr().out


@pytest.mark.parametrize(("counted", "said"), [("images", "(9 to 2 a class)"), ("objects", "(9 to 2 objects a class)")])
def test_a_data_set_says_what_its_classes_have(counted, said):
    facts = {"source": "made", "classes": ["a", "b"], "image_shape": [1, 8, 8], "bad": [],
             "counts": {"train": [9, 2]}, "split_images": {"train": 7, "validation": 3, "test": 3}}
    assert search_view.describe(facts, counted) == (
        f"made: 2 classes, 1x8x8, train 7 {said}, validation 3, test 3 (set aside)")

"""The report says what ledger and confirmation say, whatever of them is there, and fetches nothing."""
import base64
import hashlib
import json
import platform
import re
import sys
from dataclasses import replace

import pytest
import typer

from autotricks import cli
from autotricks.errors import RunError
from autotricks.report import write
from autotricks.report.page import page as drawn
from autotricks.report.parallel import _numeric, _parted
from autotricks.runs import versions
from autotricks.runs.evidence import gather
from autotricks.runs.ledger import Ledger, read, records
from autotricks.workflows import search as experiment

from .made import EVIL, METRIC, Page, addition, bundle, confirmed, folder, searched


def page(path):
    return Page(write(path).read_text("utf-8"))


def champion(trial=1):
    return {**bundle(sgd={"lr": 0.2}, mixup={"alpha": 0.5}), "result": {"trial": trial}}


def test_the_verdict_is_the_confirmations(tmp_path):
    found = page(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    assert "Better than the baseline" in found.sections[""]
    assert ("Balanced accuracy on images that the search never saw: 81.2% against the baseline's 56.2%, a difference "
            "of +25.0 points (95% interval +3.1 to +46.9; 2 fresh seeds, paired differences)") in found.sections[""]
    assert {0.8125, 0.5625, 0.25, 0.03125, 0.46875, 0.0625, 0.875} <= set(found.values)
    sure = found.sections["How sure is this?"]
    assert "In the search the champion had 87.5% on validation; with fresh seeds it has 81.2%" in sure
    assert "too good: +6.2 points" in sure
    assert "Besides the baseline 1 of 4 trials was trained again" in sure and "60 test images" in sure
    assert "calibration error 9.4% against 1.6%" in sure, "what got worse is said"
    assert "1 of 2 classes have fewer than 30 test images" in sure and "2 in train and test" in sure


@pytest.mark.parametrize(("said", "tone"), [
    ("better than the baseline", "good"), ("worse than the baseline", "bad"),
    ("no evidence of improvement: the interval holds zero", "open")])
def test_the_tone_of_the_verdict(tmp_path, said, tone):
    found = page(searched(tmp_path, confirm_json=confirmed(verdict=said)))
    assert len(found.marks("div", "verdict")) == 1 and found.marks("div", tone)
    assert said[1:] in found.sections[""]


def test_each_seed_is_a_dot_with_its_value(tmp_path):
    found = page(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    dots = {kind: [float(dot["data-value"]) for dot in found.marks("i", kind) if "data-value" in dot]
            for kind in ("champion", "baseline", "faint")}
    assert dots["champion"][:2] == [0.6875, 0.9375] and dots["baseline"][:2] == [0.375, 0.75]
    assert dots["faint"] == [0.5, 1.0, 0.75, 1.0], "recalls of two classes, two seeds"
    assert dots["champion"][3:] == [0.75, 0.875] and dots["baseline"][2:] == [0.75, 0.375]


def test_every_class_is_in_the_table_with_recall_and_precision(tmp_path):
    """Of 60 + 20 and 5 + 35 test images: named cat 65 times, 60 of them rightly."""
    found = page(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    text = found.sections["Class by class"]
    assert "All 2 classes in figures" in text
    assert "cat504075.0% ± 6.2%75.0% ± 6.2%0.092.3%" in text and "102087.5% ± 6.2%37.5% ± 6.2%+50.063.6%" in text
    assert {60 / 65, 35 / 55, 0.5, 0.0} <= set(found.values)


def test_marks_lie_where_their_value_is(tmp_path):
    """Recalls stand on a track from 0 to 1 with 2% of margin."""
    found = page(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    for dot in found.marks("i", "faint"):
        if "style" in dot:
            left = float(re.fullmatch(r"left:([\d.]+)%", dot["style"])[1])
            assert left == pytest.approx((float(dot["data-value"]) + 0.02) / 1.04 * 100, abs=0.051)


def test_every_result_at_a_rung_is_drawn(tmp_path):
    path = searched(tmp_path)
    found = page(path)
    scores = [line["metrics"][METRIC] for trial in records(read(path / "trials.jsonl")[0]) for line in trial.rungs]
    dots = [float(dot["data-value"]) for dot in found.marks("circle", "dot")]
    assert sorted(dots) == sorted(score for score in scores if score is not None) == [0.25, 0.4, 0.5, 0.625, 0.875]
    assert found.sections["Where the trials went"].count("diverged") >= 2
    assert 3 * 4 + 9 * 2 in found.values, "epochs spent"
    lines = {line["data-trial"] for line in found.marks("polyline", "line") if line.get("data-trial")}
    assert lines == {"0", "1", "2", "3"}


def test_the_best_so_far_climbs_in_the_order_of_the_ledger(tmp_path):
    """Baseline at 12 of 30 epochs with .625, trial 1 at 24 with .875: a step between them."""
    best, = page(searched(tmp_path)).marks("polyline", "best")
    points = [tuple(map(float, pair.split(","))) for pair in best["points"].split()]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    assert y0 == y1 > y2 == y3 and x1 == x2
    assert (x1 - x0) / (x3 - x0) == pytest.approx((24 - 12) / (30 - 12), abs=0.01)


def test_coordinates_of_a_number_lie_in_proportion(tmp_path):
    """Of .1 to .9 above what has none; of a wide range, by the logarithm."""
    evidence = gather(searched(tmp_path))
    axis = _numeric("sgd.lr", {0: 0.1, 1: 0.2, 3: 0.9}, evidence)
    assert axis.positions == pytest.approx({0: 0.15, 1: 0.15 + 0.85 / 8, 2: 0.0, 3: 1.0})
    wide = _numeric("sgd.lr", {0: 0.001, 1: 0.01, 2: 0.1, 3: 0.1}, evidence).positions
    assert wide == pytest.approx({0: 0.15, 1: 0.575, 2: 1.0, 3: 1.0})


def test_choices_that_part_the_scores_stand_first():
    """Two groups without spread within part everything; groups of equal means less than chance would."""
    scores = {0: 0.2, 1: 0.2, 2: 0.8, 3: 0.8}
    assert _parted({0: "a", 1: "a", 2: "b", 3: "b"}, scores) == pytest.approx(1.0)
    assert _parted({0: "a", 1: "b", 2: "a", 3: "b"}, scores) == pytest.approx(1 - 3 / 2)
    assert _parted({0: "a", 1: "b", 2: "c", 3: "d"}, scores) == 0.0


def test_without_confirmation_nothing_is_promised(tmp_path):
    found = page(searched(tmp_path, champion_yaml=champion()))
    assert "Not confirmed" in found.sections[""] and "87.5%, the baseline 62.5%" in found.sections[""]
    assert "It is the best of 4 trials on images that the search has seen" in found.sections[""]
    assert f"autotricks confirm {tmp_path.parent.name}/{tmp_path.name}" in found.sections[""]
    assert "Class by class" not in found.sections and "better than the baseline" not in found.text.lower()


def test_a_confirmation_older_than_the_search_is_no_verdict(tmp_path):
    path = searched(tmp_path, confirm_json=confirmed(candidates=[2], champion=2, test={
        "2": confirmed()["test"]["1"], "0": confirmed()["test"]["0"]}, validation={
        "2": confirmed()["validation"]["1"], "0": confirmed()["validation"]["0"]}), champion_yaml=champion())
    found = page(path)
    assert "Not confirmed" in found.sections[""] and "gone on since" in found.sections[""]
    assert "Champion here is trial 2" not in found.text, "no classes were kept"
    assert "older than the search" in found.sections["How sure is this?"]


def test_one_seed_has_no_interval(tmp_path):
    single = confirmed(seeds=[1000], difference={"mean": 0.25, "low": None, "high": None},
                       verdict="no evidence of improvement")
    found = page(searched(tmp_path, confirm_json=single))
    assert "no interval: a single seed" in found.sections[""] and "luck of 1 seed (" in found.text


def test_a_baseline_that_is_best_is_no_improvement(tmp_path):
    same = confirmed(champion=0, verdict="no evidence of improvement: the baseline itself was the best on validation",
                     difference={"mean": 0.0, "low": 0.0, "high": 0.0})
    found = page(searched(tmp_path, confirm_json=same, champion_yaml=champion(0)))
    assert "No bundle did better than the baseline" in found.sections[""]


def test_a_confirmation_without_classes_is_read(tmp_path):
    old = confirmed()
    del old["classes"]
    assert "autotricks confirm adds them" in page(searched(tmp_path, confirm_json=old)).sections["Class by class"]


@pytest.mark.parametrize(("trials", "said"), [
    ([], "No trial was trained to the end"),
    ([("baseline", bundle(sgd={"lr": 0.1}), [], None)], "Trials: 1 unfinished"),
    ([("baseline", bundle(sgd={"lr": 0.1}), [None], "diverged")], "Trials: 1 diverged"),
    ([("", bundle(), [0.5], "stopped"), ("", bundle(), [0.5], "stopped")], "Trials: 2 stopped"),
    ([("baseline", bundle(sgd={"lr": 0.1}), [0.5, 0.75], "finished")], "75.0%, the baseline 75.0%"),
    ([("", bundle(sgd={"lr": 0.1}), [0.5, 0.75], "finished")], "no baseline was trained to the end")])
def test_few_trials_and_bad_ones(tmp_path, trials, said):
    found = page(folder(tmp_path, trials))
    assert said in found.text and "nan" not in found.text.lower().split()


def test_less_is_better(tmp_path):
    path = searched(tmp_path)
    text = (path / "space.yaml").read_text()
    (path / "space.yaml").write_text(text.replace("mode: max", "mode: min"))
    found = page(path)
    assert "62.5%, the baseline 62.5%" in found.sections[""]
    line, = found.marks("polyline", "best")
    assert len({pair.split(",")[1] for pair in line["points"].split()}) == 1, "87.5% is no progress after 62.5%"


def test_ablation_is_a_forest_plot(tmp_path):
    rows = [{"trick": "mixup", "kind": "without", "mean": 0.125, "low": 0.0625, "high": 0.1875, "seconds": 3.0},
            {"trick": "cutout", "kind": "without", "mean": -0.03125, "low": -0.0625, "high": 0.015625, "seconds": 1.0},
            {"trick": EVIL, "kind": "alone", "mean": 0.5, "low": None, "high": None}, {"trick": "broken"}, "nonsense"]
    found = page(searched(tmp_path / "plain", ablation_json=rows))
    dots = {kind: [float(dot["data-value"]) for dot in found.marks("i", kind) if "data-value" in dot]
            for kind in ("good", "open", "bad")}
    assert dots == {"good": [0.125], "open": [-0.03125, 0.5], "bad": []}
    assert {0.0625, 0.1875, -0.0625, 0.015625} <= set(found.values)
    assert page(searched(tmp_path / "wrapped", ablation_json={"metric": "x", "rows": rows})).text == found.text.replace(
        "plain", "wrapped")
    assert "What each trick brought" not in page(searched(tmp_path / "without")).sections


def test_names_are_escaped(tmp_path):
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion(),
                    versions_json={"sittings": [{"python": EVIL}]},
                    ablation_json=[{"trick": EVIL, "mean": 0.5, "low": 0.25, "high": 0.75}])
    source = write(path).read_text("utf-8")
    found = Page(source)
    assert EVIL not in source and source.count("<script") == 1
    assert found.text.count(EVIL) >= 8, "class, source, bad file and reason, label, trick, version, about"


def test_nothing_is_fetched(tmp_path):
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion())
    source = write(path).read_text("utf-8")
    found = Page(source)
    addresses = [(tag, attributes[name]) for tag, attributes in found.elements for name in ("src", "href", "data",
                 "action", "srcset", "poster") if name in attributes]
    places = {f"#{attributes['id']}" for _, attributes in found.elements if "id" in attributes}
    assert addresses and all(tag == "a" and (address.startswith("https://") or address in places)
                             for tag, address in addresses)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|<link|<img|<iframe", source)
    policy, = (one["content"] for tag, one in found.elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ") and "http" not in policy
    script = re.search(r"<script>(.*)</script>", source, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'"), "or the browser would refuse our own script"
    assert len(source) < 200_000


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"holds no readable space\.yaml"):
        write(tmp_path)


def test_a_torn_line_is_said(tmp_path):
    path = searched(tmp_path)
    with (path / "trials.jsonl").open("a") as file:
        file.write('{"seq":')
    assert "last line is incomplete" in page(path).sections["How sure is this?"]


def test_the_command_writes_it_again(tmp_path, monkeypatch, capsys):
    folder(tmp_path / "one", [("baseline", bundle(), [0.5, 0.75], "finished")])
    opened = []
    monkeypatch.setattr(typer, "launch", opened.append)
    monkeypatch.setattr(sys, "argv", ["autotricks", "report", "one", "--open", "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    path = tmp_path / "one" / "report.html"
    assert stop.value.code == 0 and capsys.readouterr().out == f"{path}\n" and path.exists()
    assert opened == [path.as_uri()]


def test_a_report_that_fails_stops_no_search(tmp_path):
    assert experiment.reported(searched(tmp_path / "whole")) == []
    said, = experiment.reported(tmp_path)
    assert said.startswith("no report: RunError: ") and "space.yaml" in said


def test_versions_of_each_sitting_are_kept(tmp_path, monkeypatch):
    versions.note(tmp_path)
    versions.note(tmp_path)
    monkeypatch.setattr(versions, "versions", lambda: {"torch": "next"})
    versions.note(tmp_path)
    found = page(searched(tmp_path))
    assert "sitting 2" in found.text and "sitting 3" not in found.text and "next" in found.text
    assert f"python{platform.python_version()}" in found.sections["Do it again"]


ABLATED = {"trial": 1, "effects": [
    {"trick": "mixup", "kind": "without", "mean": 0.125, "low": 0.0625, "high": 0.1875},
    {"trick": "sgd: other values", "kind": "without", "mean": -0.03125, "low": -0.0625, "high": 0.015625},
    {"trick": "sgd: other values", "kind": "alone", "mean": 0.5, "low": 0.25, "high": 0.75}]}


def test_the_first_screen_says_what_was_found_and_what_follows(tmp_path):
    """Champion: mixup, and sgd with 0.2 in place of 0.1; the ablation is sure of mixup alone."""
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion(), ablation_json=ABLATED)
    said = page(path).sections[""]
    assert f"{EVIL} · 2 classes · 60 training images · 40 validation images · 60 test images · 4 trials" in said
    assert "Championmixup beside the baseline's cosine and sgd; sgd with other values" in said
    assert "On validation, mixup helps by +12.5 points; no effect was shown of sgd (other values)." in said
    assert f"autotricks train {tmp_path.parent.name}/{tmp_path.name}/champion.yaml --all-data" in said


@pytest.mark.parametrize(("changes", "said"), [
    ({"verdict": "no evidence of improvement: the interval holds zero"}, "Keep the baseline: nothing was shown to"),
    ({"verdict": "worse than the baseline"}, "Keep the baseline; what was best on validation is not so on test")])
def test_without_an_improvement_nothing_is_to_be_trained(tmp_path, changes, said):
    first = page(searched(tmp_path, confirm_json=confirmed(**changes), champion_yaml=champion())).sections[""]
    assert said in first and "autotricks train" not in first and "What brings it" not in first


def test_an_ablation_of_an_earlier_champion_explains_nothing(tmp_path):
    path = searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion(), ablation_json={**ABLATED, "trial": 2})
    assert "What brings it" not in page(path).sections[""]


def test_differences_are_colored_by_what_is_better(tmp_path):
    """Balanced accuracy .8125 against .5625 is better, calibration error .09375 against .015625 is worse."""
    found = page(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    text = found.sections["Class by class"]
    assert "the mean over classes81.2%56.2%+25.0 points" in text and "(less is better)9.4%1.6%+7.8 points" in text
    assert len(found.marks("span", "good")) == len(found.marks("span", "bad")) == 1


# --- what the search added to the best bundle that it started from

PUBLISHED = "added to the published bundle mixup_recipe"


def told(tmp_path, found, trial=1, **changes):
    return page(searched(tmp_path, confirm_json=confirmed(addition=found, **changes), champion_yaml=champion(trial)))


def test_what_the_search_added_is_said_with_its_interval(tmp_path):
    found = told(tmp_path, addition(2, "mixup_recipe", PUBLISHED))
    first = found.sections[""]
    assert f"The search: {PUBLISHED} (+12.5 points, 95% interval +6.2 to +18.8)." in first
    assert "Added by the search+12.5 pointsto mixup_recipe, on test" in first
    assert {0.125, 0.0625, 0.1875} <= set(found.values)


def test_what_it_added_to_the_baseline_is_the_difference_and_has_no_tile_of_its_own(tmp_path):
    first = told(tmp_path, addition()).sections[""]
    assert "The search: added to the baseline (+12.5 points, 95% interval +6.2 to +18.8)." in first
    assert "Added by the search" not in first


def test_a_champion_that_the_search_started_from_added_nothing(tmp_path):
    verdict = "no more than the published bundle mixup_recipe: on validation nothing was better"
    first = told(tmp_path, addition(1, "mixup_recipe", verdict, 0.0, 0.0, 0.0)).sections[""]
    assert f"The search: {verdict}." in first and "Added by the search0.0 points" in first


def test_where_nothing_helps_that_is_said(tmp_path):
    verdict = "nothing helps: on validation no bundle was better than the baseline"
    first = told(tmp_path, addition(0, "baseline", verdict, 0.0, 0.0, 0.0), 0, champion=0,
                 verdict="no evidence of improvement: the baseline itself was the best on validation",
                 difference={"mean": 0.0, "low": 0.0, "high": 0.0}).sections[""]
    assert f"The search: {verdict}." in first and "No bundle did better than the baseline" in first


def test_of_a_single_seed_what_was_added_has_no_interval(tmp_path):
    verdict = "no evidence that it added anything to mixup_recipe: one seed gives no interval"
    first = told(tmp_path, addition(2, "mixup_recipe", verdict, low=None, high=None), seeds=[1000],
                 difference={"mean": 0.25, "low": None, "high": None}).sections[""]
    assert f"The search: {verdict} (+12.5 points, no interval: a single seed)." in first


def test_a_confirmation_of_an_older_version_says_nothing_of_what_was_added(tmp_path):
    assert "The search:" not in page(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion())).text


def test_the_name_of_a_start_bundle_is_escaped(tmp_path):
    found = addition(2, EVIL, f"added to the published bundle {EVIL}")
    path = searched(tmp_path, confirm_json=confirmed(addition=found), champion_yaml=champion())
    source = write(path).read_text("utf-8")
    assert EVIL not in source and f"added to the published bundle {EVIL} (" in Page(source).sections[""]


def test_why_a_trial_was_tried_stands_in_the_table(tmp_path):
    path = searched(tmp_path)
    lines = (path / "trials.jsonl").read_text().splitlines()
    (path / "trials.jsonl").unlink()
    ledger = Ledger(path / "trials.jsonl")
    for line in map(json.loads, lines):
        why = {"why": f"from trial 0: + mixup {EVIL}"} if line["kind"] == "trial" and line["trial"] == 1 else {}
        ledger.append(**{name: value for name, value in line.items() if name not in ("seq", "check")}, **why)
    ledger.close()
    source = write(path).read_text("utf-8")
    assert f"from trial 0: + mixup {EVIL}" in Page(source).sections["Where the trials went"] and EVIL not in source


def test_a_repeat_of_the_champion_with_another_seed_leaves_its_confirmation_valid(tmp_path):
    """A search trains good bundles again; the better of two seeds is no other bundle."""
    evidence = gather(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    best = evidence.best
    rung = {**best.rungs[-1], "metrics": {**best.figures, "val/balanced_accuracy": 0.99}}
    again = replace(best, number=9, hash="another", rungs=[rung],
                    bundle={**best.bundle, "training": {**best.bundle["training"], "seed": 7}})
    assert not evidence.overtaken
    assert not replace(evidence, trials=(*evidence.trials, again)).overtaken
    other = replace(again, bundle={**again.bundle, "tricks": {}})
    assert replace(evidence, trials=(*evidence.trials, other)).overtaken


def test_the_page_is_that_of_curves_in_memory(tmp_path):
    found = gather(searched(tmp_path, confirm_json=confirmed(), champion_yaml=champion()))
    written = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert sum("curve" in line for line in written) == 6
    assert drawn(found) == drawn(replace(found, trials=tuple(records(written))))

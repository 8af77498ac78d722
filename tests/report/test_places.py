"""Each figure stands in its place: what a run's files hold of champion, baseline, trial, class and rung, row by row."""
import re
import xml.etree.ElementTree as ElementTree

import pytest

from autotricks.report import write
from autotricks.runs.ledger import Ledger

from .made import EVIL, Page, bundle, confirmed, searched

MINUS = "\N{MINUS SIGN}"


def spread(*values):
    return {"mean": sum(values) / len(values), "deviation": 0.0625, "values": list(values)}


def classes(low, high, confusion, temperature, as_it_is, scaled):
    return {"by_class": {"recall": [spread(low, low), spread(high, high)]}, "confusion": confusion,
            "calibration": {"temperature": temperature, "error": as_it_is, "scaled_error": scaled}, "thresholds": None}


# no two figures of champion, baseline, search, validation and test are equal
CONFIRMED = confirmed(
    validation={"1": spread(0.6875, 0.8125), "0": spread(0.53125, 0.59375)},
    test={"1": spread(0.71875, 0.90625), "0": spread(0.25, 0.375)},
    difference={"mean": 0.5, "low": 0.1875, "high": 0.84375}, optimism=0.125,
    figures={"1": {"balanced_accuracy": 0.8125, "few_shot": 0.40625, "loss": 0.65625},
             "0": {"balanced_accuracy": 0.3125, "few_shot": 0.46875, "loss": 1.5}},
    classes={"1": classes(0.75, 0.875, [[60, 20], [5, 35]], 1.25, 0.09375, 0.03125),
             "0": classes(0.125, 0.21875, [[10, 70], [31, 9]], 2.5, 0.28125, 0.15625)})
EFFECTS = {"trial": 1, "champion": spread(0.75), "baseline": spread(0.5625), "seeds": [2000, 2001], "comparisons": 4,
           "effects": [{"trick": name, "kind": kind, "mean": mean, "low": low, "high": high, "seconds_ratio": ratio}
                       for name, kind, mean, low, high, ratio in (
                           ("mixup", "without", 0.21875, 0.15625, 0.28125, 1.5),
                           ("sgd: other values", "without", -0.0625, -0.09375, -0.03125, 0.75),
                           ("mixup", "alone", 0.125, -0.0078125, 0.2578125, 1.25))]}
CHAMPION = {**bundle(sgd={"lr": 0.2}, mixup={"alpha": 0.5}), "result": {"trial": 1}}


def words(element):
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = searched(tmp_path_factory.mktemp("places") / "run", confirm_json=CONFIRMED, champion_yaml=CHAMPION,
                    ablation_json=EFFECTS)
    source = write(path).read_text("utf-8").partition("\n")[2]
    return ElementTree.fromstring(re.sub(r"(?s)<(style|script)>.*?</\1>", "", source))


@pytest.fixture
def table(page):
    def found(*head):
        """Return the rows of the table that has these words in its head."""
        one, = (each for each in page.iter("table") if set(head) <= {words(cell) for cell in each.iter("th")})
        return [[words(cell) for cell in line] for line in one.find("tbody")]
    return found


@pytest.fixture
def rows(page):
    def found(caption):
        """Return name and value of each row of the chart of this caption."""
        one, = (each for each in page.iter("figure") if words(each[0]).startswith(caption))
        lines = [[words(part) for part in line] for line in one.iter("div") if "row" in line.get("class", "").split()]
        return {line[0]: line[2] for line in lines if line[0]}
    return found


def test_tiles(page):
    tiles = {words(tile[0]): words(tile[1]) for tile in page.iter("div") if tile.get("class") == "tile"}
    assert tiles == {"Champion on test": "81.2%", "Baseline on test": "31.2%", "Difference": "+50.0 points",
                     "Cost of the search": "30 epochs"}


def test_what_fresh_seeds_cost_is_told_beside_the_search(tmp_path):
    """Three trainings of 9 epochs, 40 seconds each."""
    path = searched(tmp_path / "run", confirm_json=confirmed(), champion_yaml=CHAMPION)
    ledger = Ledger(path / "confirm.jsonl")
    for seed in range(3):
        ledger.append("confirm", hash=str(seed), seed=seed, epochs=9.0, seconds=40.0, metrics={})
    ledger.close()
    text = re.sub(r"\s+", " ", Page(write(path).read_text("utf-8")).text)
    assert "Cost of fresh seeds27 epochs3 trainings after the search; 2 min of training" in text
    (path / "confirm.jsonl").write_bytes((path / "confirm.jsonl").read_bytes().replace(b"40.0", b"41.0", 1))
    text = Page(write(path).read_text("utf-8")).text
    assert "Cost of fresh seeds" not in text and "Damaged, and left out of this page: confirm.jsonl." in text


def test_it_is_said_which_value_of_the_score_is_which(tmp_path):
    judged = confirmed(searched=0.84375)
    path = searched(tmp_path / "run", confirm_json=judged, champion_yaml=CHAMPION)
    text = re.sub(r"\s+", " ", Page(write(path).read_text("utf-8")).text)
    assert ("The champion's score has several values: 87.5% of its one training in the search, 84.4% as the search "
            "judged it by all trials, 81.2% over fresh seeds, and 75.0% of the training with seed 1000, which "
            "champion.yaml holds.") in text


def test_commands_of_the_page_can_be_pasted(tmp_path):
    folder = tmp_path / "my runs" / "long tail-001"
    folder.parent.mkdir()
    path = searched(folder, confirm_json=confirmed(), champion_yaml=CHAMPION)
    text = re.sub(r"\s+", " ", Page(write(path).read_text("utf-8")).text)
    assert "autotricks search --space 'my runs/long tail-001/space.yaml'" in text
    assert "autotricks confirm 'my runs/long tail-001'" in text
    assert "autotricks train 'my runs/long tail-001/champion.yaml'" in text


def test_wherever_seeds_are_counted_they_are_the_seeds(tmp_path):
    """Three of them, of two bundles, of which one is a candidate."""
    three = confirmed(seeds=[1000, 1001, 1002], test={"1": spread(0.5, 0.625, 0.75), "0": spread(0.25, 0.375, 0.5)},
                      validation={"1": spread(0.5, 0.625, 0.75), "0": spread(0.25, 0.375, 0.5)})
    path = searched(tmp_path / "run", confirm_json=three, champion_yaml=CHAMPION)
    text = re.sub(r"\s+", " ", Page(write(path).read_text("utf-8")).text)
    counted = re.findall(r"(\d+) (?:fresh )?seeds?\b|[Ff]resh seeds, mean of (\d+)", text)
    assert len(counted) >= 5 and {left + right for left, right in counted} == {"3"}


def test_bundles_trained_again(table):
    assert table("Bundle", "In the search, one seed") == [
        ["trial 1", "87.5%", "75.0% ± 6.2", "+12.5"], ["baseline (trial 0)", "62.5%", "56.2% ± 6.2", "+6.2"]]


def test_figures_on_test(table):
    assert table("On test, mean over seeds") == [
        ["balanced accuracy, the mean over classes", "81.2%", "31.2%", "+50.0 points"],
        ["few-shot classes, accuracy below 20 training images a class", "40.6%", "46.9%", f"{MINUS}6.2 points"],
        ["log loss, cross-entropy (less is better)", "0.6562", "1.5", f"{MINUS}0.8438"]]


def test_calibration_before_and_after(table):
    assert table("As it is", "With temperature scaling") == [
        ["Champion", "9.4%", "3.1%", "1.25"], ["Baseline", "28.1%", "15.6%", "2.50"]]


def test_recall_of_each_class(rows, table):
    assert rows("Recall of each class") == {
        "cat 50 train, 40 test": "12.5% → 75.0%", f"{EVIL} 10 train, 20 test": "21.9% → 87.5%"}
    assert table("Champion's recall") == [
        ["cat", "50", "40", "75.0% ± 6.2%", "12.5% ± 6.2%", "+62.5", "92.3%"],
        [EVIL, "10", "20", "87.5% ± 6.2%", "21.9% ± 6.2%", "+65.6", "63.6%"]]


def test_confusion(page, table):
    matrix, = (each for each in page.iter("table") if each.get("class") == "matrix")
    assert [[words(cell) for cell in line][1:] for line in matrix[1:]] == [["60", "20"], ["5", "35"]]
    assert [cell.get("data-tip") for cell in matrix.iter("td")][1] == f"cat taken for {EVIL}: 20 (25%)"
    assert table("Taken for") == [["cat", EVIL, "20", "25%"], [EVIL, "cat", "5", "12%"]]


def test_forest(rows):
    assert rows("Champion, minus") == {"mixup ×1.50": "+21.9 [+15.6, +28.1]",
                                       "sgd: other values ×0.75": f"{MINUS}6.2 [{MINUS}9.4, {MINUS}3.1]"}
    assert rows("Baseline with") == {"mixup ×1.25": f"+12.5 [{MINUS}0.8, +25.8]"}


def test_trials_and_rungs(rows, table):
    assert rows("Trials that were trained") == {"3 epochs": "4 best 50.0%", "9 epochs": "2 best 87.5%"}
    assert [[line[0], *line[2:]] for line in table("Trial", "End")] == [
        ["1", "finished", "9", "87.5%", "12", "4 s"], ["0", "finished", "9", "62.5%", "12", "4 s"],
        ["2", "stopped", "3", "25.0%", "3", "2 s"], ["3", "diverged", "3", "–", "3", "2 s"]]


def test_images_of_each_class(rows):
    assert rows("Training images") == {"cat": "50", EVIL: "10"}

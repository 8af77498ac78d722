"""What a search is expected to train, against closed forms and against what searches have trained."""
import json
from pathlib import Path
from statistics import fmean

import pytest

from autotricks.core.reporting import End
from autotricks.runs.ledger import Ledger
from autotricks.tuning.search import Search
from autotricks.tuning.workload import KEPT, Rung, Workload, expected, workload

from .scripted import outcome, search
from .spaces import MIXED, loaded

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "added_value.jsonl"


def test_halving_in_closed_form():
    """Two start trials and nine others, of which a third goes on at each rung: 11, 5, 3 of 3, 9, 27 epochs."""
    assert expected(11, 2, (3, 9, 27), 1 / 3, compressed=False) == (
        Rung(3, 11, 3), Rung(9, pytest.approx(5), 6), Rung(27, pytest.approx(3), 18))
    assert [rung.epochs for rung in expected(11, 2, (3, 9, 27), 1 / 3, compressed=True)] == [3, 9, 27]


def test_the_share_that_the_default_sampler_lets_go_on_is_what_its_searches_did():
    """Of the trials that were proposed, how many came to the second rung and to the third, in 18 recorded searches."""
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    reached = [len(scores) for row in rows if row["arm"] == "search" for _, why, scores, _ in row["log"][2:]]
    second, third = (fmean(count >= rung for count in reached) for rung in (2, 3))
    assert second == pytest.approx(KEPT, abs=0.04) and third == pytest.approx(KEPT ** 2, abs=0.04)
    searches = [row for row in rows if row["arm"] == "search"]
    spent = [row["spent"] / row["trials"] for row in searches]
    planned = [Workload(expected(row["trials"], 2, (1, 3, 9), KEPT, False), row["trials"], 1e9, 9, 0).share
               for row in searches]
    assert len(searches) == 18 and fmean(planned) == pytest.approx(fmean(spent), rel=0.1)


def test_trials_or_epochs_bound_it(tmp_path):
    text = MIXED + "confirm: {top: 3, seeds: 5}\n"
    by_trials = workload(loaded(tmp_path, text, "search.sampler=random"))
    # baseline whole, 19 others: 1 + 19 epochs, a third of them two more, a ninth six more
    assert by_trials.epochs == pytest.approx(20 + 2 * (1 + 19 / 3) + 6 * (1 + 19 / 9))
    assert by_trials.left == pytest.approx(20) and by_trials.confirmations == 4 * 5
    bounded = workload(loaded(tmp_path, text, "search.trainings=2.5"))
    assert bounded.epochs == 22.5 and bounded.left == pytest.approx(2.5 / bounded.share)
    assert workload(loaded(tmp_path, text), confirms=False).confirmations == 0
    assert workload(loaded(tmp_path, text, "objective.metric=train/loss", "objective.mode=min")).confirmations == 0
    assert workload(loaded(tmp_path, text, "search.trials=2")).confirmations == 2 * 5     # there are no others
    assert workload(loaded(tmp_path, text + "start: [mixup_balanced_softmax]\n")).confirmations == 5 * 5


def test_what_is_done_is_not_left():
    whole = Workload((Rung(9, 10, 9),), 10, float("inf"), 9, 0)
    half = Workload(whole.rungs, 10, float("inf"), 9, 0, spent=45, ended=5)
    assert (whole.epochs, half.epochs, half.left, half.done) == (90, 45, 5, 0.5)
    # ten trials took a third of what was expected: six are believed to take it, ten are known not to
    cheap = Workload(whole.rungs, 20, float("inf"), 9, 0, spent=30, ended=10)
    assert cheap.share == pytest.approx((6 * 10 / 20 + 30 / 9) / 16)
    over = Workload(whole.rungs, 10, 18, 9, 0, spent=20, ended=3)
    assert (over.epochs, over.left, over.done) == (0, 0, 1)


def test_a_search_knows_what_earlier_sittings_spent(tmp_path, dataset, monkeypatch):
    space = loaded(tmp_path, MIXED, "search.trials=4", "search.sampler=random")
    path = tmp_path / "trials.jsonl"
    found = search(space, path, dataset, monkeypatch, lambda number, rung: outcome(rung, 0.5))
    spent = found.spent
    ledger = Ledger(path)
    again = Search(space, ledger)
    ledger.close()
    assert again.spent == spent > 0 and again.ended == found.ended == 4


# --- trials that all fail

def failing(reasons):
    """Return an answer that fails as it is told to, by the number of the trial; others are trained."""
    return lambda number, rung: reasons[number] if number in reasons else outcome(rung, 0.5)


@pytest.mark.parametrize(("reasons", "ended", "failure"), [
    ({0: "ValueError: no a.pt, 0x7f1", 1: "ValueError: no a.pt, 0x9c2", 2: "ValueError: no a.pt, 0x3"}, 3,
     "ValueError: no a.pt, 0x7f1"),
    (dict.fromkeys(range(8), "OSError: no"), 3, "OSError: no"),
    ({0: "ValueError: no", 1: "ValueError: no", 2: "TypeError: no"}, 8, ""),                # two reasons
    ({1: "ValueError: no", 2: "ValueError: no", 3: "ValueError: no"}, 8, ""),               # the baseline trains
    ({0: "ValueError: no", 2: "ValueError: no", 3: "ValueError: no"}, 8, "")])              # one trial trains
def test_trials_that_all_fail_for_one_reason_end_the_search_at_the_third(tmp_path, dataset, monkeypatch, reasons,
                                                                         ended, failure):
    space = loaded(tmp_path, MIXED, "search.trials=8", "search.sampler=random")
    found = search(space, tmp_path / "trials.jsonl", dataset, monkeypatch, failing(reasons))
    assert (found.ended, found.failure) == (ended, failure)
    assert sum(record.end == End.FAILED.value for record in found.records()) == min(len(reasons), ended)


def test_a_search_that_goes_on_with_the_cause_mended_trains(tmp_path, dataset, monkeypatch):
    """Failures of an earlier sitting do not end this one."""
    space = loaded(tmp_path, MIXED, "search.trials=8", "search.sampler=random")
    search(space, tmp_path / "trials.jsonl", dataset, monkeypatch, failing(dict.fromkeys(range(8), "OSError: no")))
    found = search(space, tmp_path / "trials.jsonl", dataset, monkeypatch)
    assert found.ended == 8 and found.failure == ""

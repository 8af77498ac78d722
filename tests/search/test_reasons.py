"""Why a trial failed, wherever it is shown."""
import csv
from types import SimpleNamespace

import pytest

from autotricks import report
from autotricks.cli.views.search import Lines, LiveTable
from autotricks.runs.evidence import gather
from autotricks.runs.ledger import last_line
from autotricks.runs.table import write as write_table
from autotricks.tuning.tracking_listener import TrackingListener

from .scripted import outcome, search
from .spaces import MIXED, loaded

ERROR = "pretrained.weights: a.pt: 2 of 44 weights of ResNet do not fit [16, 3] <b>"
TRACEBACK = f'Traceback (most recent call last):\n  File "x.py", line 1\nautotricks.errors.ModelError: {ERROR}\n'


@pytest.mark.parametrize(("detail", "reason"), [
    (TRACEBACK, f"ModelError: {ERROR}"), ("", ""), ("ValueError: no\n", "ValueError: no"),
    ("its process died 3 times, by signal 9", "its process died 3 times, by signal 9"),
    ("torch.cuda.Error: \x1b[31mred", "Error: \\x1b[31mred"), ("x" * 900, "x" * 400)])
def test_the_last_line_of_a_traceback(detail, reason):
    assert last_line(detail) == reason


@pytest.fixture
def failed(tmp_path, dataset, monkeypatch):
    """A search of which one trial raised something."""
    space = loaded(tmp_path, MIXED, "search.trials=3", "search.sampler=random")
    search(space, tmp_path / "trials.jsonl", dataset, monkeypatch,
           lambda number, rung: TRACEBACK if number == 1 else outcome(rung, 0.5))
    (tmp_path / "space.yaml").write_text(MIXED)
    return space, tmp_path, gather(tmp_path).trials


def test_it_stands_in_the_table_and_in_the_report(failed):
    _, folder, trials = failed
    assert [trial.reason for trial in trials] == ["", f"ModelError: {ERROR}", ""]
    write_table(folder / "trials.csv", list(trials))
    rows = list(csv.DictReader((folder / "trials.csv").open(newline="")))
    assert [row["reason"] for row in rows] == ["", f"ModelError: {ERROR}", ""] and rows[1]["end"] == "failed"
    assert "ModelError: pretrained.weights: a.pt: 2 of 44 weights of ResNet do not fit [16, 3] &lt;b&gt;" in (
        report.write(folder).read_text())


def test_it_is_said_on_the_screen(failed, capsys):
    space, _, trials = failed
    from autotricks.core.reporting import End
    from autotricks.runs.trial import Trial
    trial = Trial(1, "", space.start["baseline"], reason=trials[1].reason)
    for kind in (Lines, LiveTable):
        view = kind(space)
        view.started(trial)
        view.ended(trial, End.FAILED, None)
        told = " ".join(capsys.readouterr().out.split())
        assert f"trial 1: ModelError: {ERROR}" in told


@pytest.mark.ray
def test_ray_is_asked_what_a_trial_raised():
    from autotricks.tuning.engines.ray_tune import LOST, RaySearcher, RungScheduler

    heard = []
    chooser = RaySearcher(SimpleNamespace(finish=lambda trial, end, detail: heard.append((trial, detail))))
    scheduler = RungScheduler(chooser._search, chooser)
    told = {"a": f"Failure # 1\nray::RayTrainable.train() (pid=1)\n{TRACEBACK}", "b": "The actor died.", "c": None}
    for name, text in told.items():
        chooser.trials[name] = name
        scheduler.on_trial_error(None, SimpleNamespace(trial_id=name, get_error=lambda text=text: text))
        chooser.on_trial_complete(name, error=True)
    assert [(name, last_line(detail)) for name, detail in heard] == [
        ("a", f"ModelError: {ERROR}"), ("b", LOST), ("c", LOST)]


def test_it_is_a_tag_of_the_tracker(failed):
    space, _, trials = failed
    closed = {}
    tracker = SimpleNamespace(started=lambda *rest: None, opened=lambda *rest: None, rows=lambda *rest: None,
                              closed=lambda key, name, tags, metrics: closed.update({key: tags}))
    TrackingListener(tracker, space, {"fingerprint": "f", "source": "s"}, "run").replay(trials)
    assert closed["trial 1"]["reason"] == f"ModelError: {ERROR}" and "reason" not in closed["trial 0"]

"""Why a trial failed, wherever it is shown."""
import csv
import os
import subprocess
import sys
from pathlib import Path
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
def test_what_ray_has_of_a_trial_is_read_where_ray_writes_it_first(tmp_path):
    from autotricks.tuning.engines.ray_tune import LOST, RaySearcher, RungScheduler

    heard = []
    chooser = RaySearcher(SimpleNamespace(finish=lambda trial, end, detail: heard.append((trial, detail))))
    scheduler = RungScheduler(chooser._search, chooser)
    told = {"a": f"Failure # 1\nray::RayTrainable.train() (pid=1)\n{TRACEBACK}", "b": "The actor died.", "c": None}
    for name, text in told.items():
        chooser.trials[name] = name
        if text:
            (tmp_path / name).write_text(text)
        scheduler.on_trial_error(None, SimpleNamespace(trial_id=name, error_file=str(tmp_path / name)))
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


RAISING = """import torch

class Raising(torch.nn.Linear):
    def forward(self, images):
        if self.training and len(images) > 2:
            raise RuntimeError("a trouble of its own")
        return super().forward(images.flatten(1))

def raising(classes, channels):
    return Raising(64 * channels, classes)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_real_ray_says_what_a_users_model_raised(tmp_path):
    (tmp_path / "raising_model.py").write_text(RAISING)
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ndata: {source: digits}\nmodel: {name: 'raising_model:raising'}\ntraining: {epochs: 2, precision: "
        "fp32}\nsearch: {trials: 2, rungs: {first: 1}, engine: ray, parallel: 1}\ntricks: {sgd: {}, mixup: {}}\n")
    done = subprocess.run([sys.executable, "-m", "autotricks", "search", "--space", "mine.yaml", "--trust",
                           "--tracking", "off", "--no-confirm"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"},
                          timeout=200, check=False)
    assert done.stdout.count("RuntimeError: a trouble of its own") == 2, done.stdout + done.stderr

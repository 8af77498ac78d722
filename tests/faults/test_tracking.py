"""A tracking server that dies, comes back, is slow or refuses, while a search goes on: the search does not wait."""
import threading
import time

import pytest

from autotricks.tracking.tracker import Tracker

from ..search import real
from ..tracking.conftest import search
from ..tracking.test_down import broken, server
from . import kept

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]
SLOW = 5.0


class Waiting:
    """Adds up how long a search's own thread is inside the tracker while trials go on, and at its end."""

    def __init__(self, monkeypatch):
        from autotricks.tracking.mlflow import MlflowTracker

        self.seconds = self.closing = 0.0
        for name in vars(Tracker):
            if not name.startswith("_") and callable(getattr(MlflowTracker, name)):
                monkeypatch.setattr(MlflowTracker, name, self.timed(getattr(MlflowTracker, name)))

    def timed(self, method):
        def call(tracker, *arguments):
            began = time.monotonic()
            try:
                return method(tracker, *arguments)
            finally:
                took = time.monotonic() - began
                if method.__name__ == "close":
                    self.closing += took
                else:
                    self.seconds += took
        return call


def refused(code):
    def answer(handler):
        handler.send_response(code)
        handler.end_headers()
    return answer


def late(handler):
    time.sleep(SLOW)
    broken(handler)


def cut(handler):
    handler.connection.close()


@pytest.mark.parametrize("answer", [broken, refused(413), refused(503), refused(302), late, cut],
                         ids=["500", "413", "503", "302", "5 s late", "cut off"])
def test_server_that_answers_badly(tmp_path, monkeypatch, answer, injected):
    whole = search(tmp_path / "whole", "off")
    waiting = Waiting(monkeypatch)
    with server(answer) as (address, requests):
        result = search(tmp_path / "runs", address)
        injected("tracking server answers badly (F6)")
    assert requests and waiting.seconds < 0.05 * max(result.searching, 1.0)
    assert len(result.notices) == 1 and address in result.notices[0]
    kept.ledger_goes_on([], result.folder)
    kept.as_unbroken(result.folder, whole.folder)


@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_server_that_dies(tmp_path, monkeypatch, after, injected):
    """It answers nothing from a moment on; whoever is connected is cut off."""
    whole = search(tmp_path / "whole", "off")
    waiting, gone = Waiting(monkeypatch), threading.Event()
    timer = threading.Timer(after, gone.set)
    timer.start()
    with server(lambda handler: cut(handler) if gone.is_set() else refused(200)(handler)) as (address, _):
        result = search(tmp_path / "runs", address)
        injected("tracking server dies (F6)")
    assert waiting.seconds < 0.05 * max(result.searching, 1.0)
    assert len(result.notices) == 1
    kept.as_unbroken(result.folder, whole.folder)


def test_database_that_is_locked(tmp_path, monkeypatch, injected):
    """Somebody holds MLflow's SQLite file for the whole search (F7)."""
    import sqlite3

    first = search(tmp_path / "runs")
    database = sqlite3.connect(tmp_path / "runs" / "mlflow.db")
    database.execute("BEGIN EXCLUSIVE")
    waiting = Waiting(monkeypatch)
    try:
        result = search(tmp_path / "runs")
        injected("database locked (F7)")
    finally:
        database.close()
    assert waiting.seconds < 0.05 * max(result.searching, 1.0) and len(result.notices) == 1
    assert real.story(result.folder) == real.story(first.folder)

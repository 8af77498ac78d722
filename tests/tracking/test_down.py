"""A tracking server that is down, broken or slow never stops a search, nor holds it up."""
import http.server
import random
import shutil
import threading
import time
from contextlib import contextmanager

import pytest

from autotricks.errors import RunError
from autotricks.runs.folder import LEDGER
from autotricks.runs.ledger import read, records
from autotricks.tracking.store import client, default_uri
from autotricks.tracking.ui import addresses
from autotricks.workflows.sync import sync

from .conftest import METRIC, search


@contextmanager
def server(answer):
    """Run a web server that answers everything with `answer`; give its address and the requests it got."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_any(self):
            requests.append(self.path)
            answer(self)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *words):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", requests
    finally:
        made.shutdown()
        made.server_close()


def broken(handler):
    handler.send_response(500)
    handler.end_headers()
    handler.wfile.write(b"Internal Server Error")


def whole(result) -> None:
    past = records(read(result.folder / LEDGER)[0])
    assert [trial.end is not None for trial in past] == [True] * 5
    assert result.champion.score == max(trial.score(METRIC) for trial in past if trial.end == "finished")
    assert (result.folder / "champion.yaml").exists()


def test_server_that_is_not_there(stocked):
    started = time.monotonic()
    result = search(stocked("gone"), "http://127.0.0.1:9")
    late = time.monotonic() - started - result.searching
    print("late by", late)
    whole(result)
    notice, = result.notices
    assert notice.startswith("MLflow at http://127.0.0.1:9 did not take everything") and "\n" not in notice
    assert notice.endswith(f". The ledger has it all; put the rest there with: autotricks sync {result.folder} "
                           "--tracking http://127.0.0.1:9")
    assert late < 10
    assert synced(result.folder) == (1 + 5, 6)      # nothing had been there: search and trials; files


def synced(folder):
    """Put a run into SQLite; return how many runs and files that took, and see that it takes nothing twice."""
    found, again = sync(folder), sync(folder)
    assert found.problem == again.problem == ""
    assert (again.runs, again.figures, again.files) == (0, 0, 0)
    return found.runs, found.files


@pytest.mark.parametrize(("name", "why"), [
    pytest.param("folder", "unable to open database file", marks=pytest.mark.slow),
    ("noise", "file is not a database")])
def test_a_file_that_is_no_store(tmp_path, stocked, name, why):
    """MLflow would try for minutes to open it; the line's command puts everything there once it is out of the way."""
    place = tmp_path / "mlflow.db"
    place.mkdir() if name == "folder" else place.write_bytes(random.Random(0).randbytes(50_000))
    started = time.monotonic()
    result = search(tmp_path)
    whole(result)
    assert time.monotonic() - started - result.searching < 10
    notice, = result.notices
    assert f"{place}: {why}. Move it away; " in notice and notice.endswith(f"with: autotricks sync {result.folder}")
    for refused in (lambda: addresses(tmp_path, "localhost", 5000), lambda: client(default_uri(tmp_path))):
        with pytest.raises(RunError, match=why):
            refused()
    place.rename(tmp_path / "away")
    shutil.copy(stocked("blank") / "mlflow.db", place)      # as MLflow makes one where none is
    assert synced(result.folder) == (1 + 5, 6)


def test_server_that_answers_500(tmp_path):
    with server(broken) as (address, requests):
        started = time.monotonic()
        result = search(tmp_path, address)
        late = time.monotonic() - started - result.searching
    print("late by", late, "requests", len(requests))
    whole(result)
    notice, = result.notices
    assert notice.startswith(f"MLflow at {address} did not take everything") and "\n" not in notice
    assert 1 <= len(requests) <= 10      # it was not asked again for every trial
    assert late < 15


@pytest.mark.slow
def test_server_that_never_answers(tmp_path):
    with server(lambda handler: time.sleep(300)) as (address, _):
        started = time.monotonic()
        result = search(tmp_path, address)
        late = time.monotonic() - started - result.searching
    print("late by", late)
    whole(result)
    assert len(result.notices) == 1 and late < 60

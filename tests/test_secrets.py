"""Passwords and tokens of the environment are in no file that a search leaves and in nothing that it says."""
import shutil
import tempfile
from pathlib import Path

import pytest

from .search import real
from .tracking.conftest import search
from .tracking.test_down import server

PLANTED = "s3cr3t-hunter2"
NAMES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN",
         "HF_TOKEN")


@pytest.fixture
def planted(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, PLANTED)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)   # which MLflow sets for its children


def holding(root: Path, word: str) -> list[Path]:
    """Return the files below a folder that hold a word, whatever they are."""
    return [path for path in root.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def test_the_search_for_it_finds_what_is_there(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.db").write_bytes(b"\0\1" + PLANTED.encode() + b"\xff")
    assert holding(tmp_path, PLANTED) == [tmp_path / "a" / "b.db"]


def test_a_search_that_is_tracked_on_a_server_keeps_no_password(planted, tmp_path, capfd):
    """The server gets it, as it must; it refuses, so that there is something to complain of."""
    given = []

    def answer(handler):
        given.append(handler.headers.get("Authorization"))
        handler.send_response(403)
        handler.end_headers()
    with server(answer) as (address, _):
        result = search(tmp_path, address)
    said = capfd.readouterr()
    assert any(given), "or nothing was there to be kept"
    assert PLANTED not in said.out + said.err + " ".join(result.notices)
    assert (result.folder / "report.html").exists() and not holding(tmp_path, PLANTED)


@pytest.mark.slow
@pytest.mark.parametrize("engine", real.ENGINES)
def test_a_whole_search_in_processes_keeps_no_password(planted, tmp_path, engine, monkeypatch):
    """Nor do Ray's logs, which everybody on the machine can read; its sockets need a short path."""
    session = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(session))
    words = [word for text in (*real.SMALL, f"search.engine={engine}") for word in ("--set", text)]
    ran = real.run("search", "--space", "long_tail.yaml", *words, "--no-confirm", "--root", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert PLANTED not in ran.stdout + ran.stderr
    assert (tmp_path / "mlflow.db").exists() and not holding(tmp_path, PLANTED)
    logs = holding(session, "raylet")
    assert bool(logs) == (engine == "ray") and not holding(session, PLANTED)
    shutil.rmtree(session)

"""A real MLflow server with passwords: who has none is told so in one line, and loses nothing."""
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from ..search import real

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Give the address of a server and its administrator's password."""
    pytest.importorskip("flask_wtf", reason="needs pip install 'autotricks[server]'")
    folder, password = tmp_path_factory.mktemp("server"), secrets.token_hex(16)
    store = f"sqlite:///{folder}/mlflow.db"
    (folder / "basic_auth.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = {store}\nadmin_username = admin\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    given = {**os.environ, "MLFLOW_AUTH_CONFIG_PATH": str(folder / "basic_auth.ini"),
             "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16), "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
             "MLFLOW_AUTH_ADMIN_PASSWORD": password}
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port",
             address.rpartition(":")[2], "--workers", "1", "--backend-store-uri", store, "--artifacts-destination",
             str(folder / "artifacts")], env=given, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://{address}/health", timeout=5)
                break
            except OSError:
                assert time.monotonic() < until and running.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.3)
        yield f"http://{address}", password
    finally:
        os.killpg(running.pid, 9)
        running.wait()


@pytest.fixture
def run(tmp_path, tracked):
    """Return a run that the server does not know yet."""
    return shutil.copytree(tracked.folder, tmp_path / "run")


def synced(run, address, **given):
    return subprocess.run(real.command("sync", str(run), "--tracking", address), capture_output=True, text=True,
                          env={**real.environment(), **given}, timeout=120, check=False)


@pytest.mark.parametrize("given", [{}, {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "f" * 16}],
                         ids=["none", "wrong"])
def test_a_client_without_the_password_is_refused_in_one_line(server, run, given):
    done = synced(run, server[0], **given)
    assert done.returncode == 1 and done.stdout == "Put into MLflow: nothing.\n" and done.stderr.count("\n") == 1
    assert "name or password are missing or wrong (401). Set MLFLOW_TRACKING_USERNAME" in done.stderr
    assert "f" * 16 not in done.stderr


def test_with_the_password_everything_arrives(server, run):
    account = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": server[1]}
    done = synced(run, server[0], **account)
    assert done.returncode == 0 and done.stdout.startswith("Put into MLflow: 6 runs"), done.stdout + done.stderr
    again = synced(run, server[0], **account)
    assert again.returncode == 0 and "everything was there" in again.stdout
    assert server[1] not in done.stdout + done.stderr

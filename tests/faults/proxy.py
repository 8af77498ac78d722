"""A real MLflow server, and before it one that hurts: requests refused, answers late, lost or cut off."""
from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..tracking.test_down import server
from ..tracking.test_served import answers, free_port

Fault = Callable[[int, float], "str | int"]     # of the number and the second of a request: what to do with it


@contextmanager
def mlflow_server(root: Path, port: int = 0) -> Iterator[str]:
    """Run MLflow's own server on a store in a folder."""
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{root}/server.db",
               "--artifacts-destination", str(root / "kept"), "--host", "127.0.0.1", "--port", str(port),
               "--workers", "1"]
    with (root / "server.log").open("a") as log, subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}) as process:
        try:
            answers(process, f"http://127.0.0.1:{port}/health", root / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 9)


@contextmanager
def hurting(address: str, fault: Fault) -> Iterator[tuple[str, list[str]]]:
    """Run what passes requests on to a server and does to each what `fault` says; give its address and what was done.

    `ok`; a status, which is answered; `late` by five seconds; `lost`: done, but the answer never comes; `cut`: not even
    done.
    """
    done: list[str] = []
    began, place = time.monotonic(), address.removeprefix("http://")

    def passed_on(handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        what = fault(len(done), time.monotonic() - began)
        done.append(str(what))
        if isinstance(what, int):
            handler.send_response(what)
            handler.end_headers()
            return
        if what == "late":
            time.sleep(5)
        if what == "cut":
            return
        there = http.client.HTTPConnection(place, timeout=60)
        there.request(handler.command, handler.path, body, dict(handler.headers) | {"Host": place})
        answer = there.getresponse()
        content = answer.read()
        there.close()
        if what == "lost":
            return
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    with server(passed_on) as (where, _):
        yield where, done

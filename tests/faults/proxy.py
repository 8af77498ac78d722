"""A real MLflow server, and before it one that hurts: requests refused, answers late, lost or cut off."""
from __future__ import annotations

import http.client
import http.server
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..tracking.test_served import free_port

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
            for _ in range(600):
                assert process.poll() is None, (root / "server.log").read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                    break
                except OSError:
                    time.sleep(0.2)
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

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def passed_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            what = fault(len(done), time.monotonic() - began)
            done.append(str(what))
            if isinstance(what, int):
                self.send_response(what)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if what == "late":
                time.sleep(5)
            if what == "cut":
                self.close_connection = True
                return
            there = http.client.HTTPConnection(place, timeout=60)
            there.request(self.command, self.path, body, dict(self.headers) | {"Host": place})
            answer = there.getresponse()
            content = answer.read()
            there.close()
            if what == "lost":
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = passed_on

        def log_message(self, *words):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", done
    finally:
        made.shutdown()
        made.server_close()

"""What a tracking server that is down, slow or broken costs a search: `python benchmarks/tracking.py`.

One search of the digits on the local engine, as a program of its own, with each kind of server in turn; the figure is
the wall time of the whole command over that of the same round with MLflow's own SQLite, where all is well.
"""
from __future__ import annotations

import http.server
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from machine import Row, Target, conclude, parser, spread

LATE = 5.0      # seconds
SLOWER = Target(most=1.05)
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


def refused(code: int) -> Answer:
    """Return what answers every request with an error code."""
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.end_headers()
    return answer


def late(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Answer after a while that there is an error."""
    time.sleep(LATE)
    refused(500)(handler)


def silent(handler: http.server.BaseHTTPRequestHandler) -> None:
    """Never answer."""
    time.sleep(3600)


ANSWERS: dict[str, Answer | None] = {"nobody listening": None, "500": refused(500), "503": refused(503),
                                     f"500 after {LATE:g} s": late, "no answer": silent}


@contextmanager
def server(answer: Answer | None) -> Iterator[str]:
    """Listen, or only reserve a port, and yield the address."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert answer is not None
            answer(self)

        do_POST = do_PUT = do_PATCH = do_GET

        def log_message(self, format: str, *words: object) -> None:
            """Say nothing."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    address = f"http://127.0.0.1:{httpd.server_port}"
    if answer is None:
        httpd.server_close()
        yield address
        return
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        httpd.shutdown()
        httpd.server_close()


def seconds(*tracking: str) -> float:
    """Return the wall time of a search."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "autotricks", "search", "--space", "long_tail.yaml", "--no-confirm",
                        "--set", "search.engine=local", "--set", "search.parallel=2", "--root", folder, *tracking],
                       capture_output=True, timeout=600, check=True)
        return time.perf_counter() - began


def measure(quick: bool) -> list[Row]:
    """Return a row for each kind of server."""
    walls: dict[str, list[float]] = {name: [] for name in ("well", *ANSWERS)}
    for _ in range(1 if quick else 3):
        walls["well"].append(seconds())
        for name, answer in ANSWERS.items():
            with server(answer) as address:
                walls[name].append(seconds("--tracking", address))
    return [Row("digits", f"server: {name}", spread(
        [one / well for one, well in zip(walls[name], walls["well"], strict=True)]), "x", SLOWER,
        ", ".join(f"{one:.1f}" for one in walls[name]) + " s, well " + ", ".join(f"{one:.1f}" for one in walls["well"]))
        for name in ANSWERS]


if __name__ == "__main__":
    sys.exit(conclude({"tracking": measure}, parser(__doc__).parse_args()))

"""Real Ray clusters of several nodes on this machine: a process tree and an object store for each node."""
from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import real

STORE = str(100 * 2**20)    # bytes of each object store


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Cluster:
    """A head and further nodes, with a token; every process in sessions of their own.

    Args:
        cpus: Cores of the head.
        dashboard: Whether the head takes jobs, which needs ray[default].
    """

    def __init__(self, cpus: int = 1, dashboard: bool = False):
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))     # a socket's path is 107 bytes at most
        self.token = self.folder / "token"
        self.token.write_text(secrets.token_hex(16))
        self.token.chmod(0o600)
        self.nodes: list[subprocess.Popen] = []
        self.port, web = free_port(), free_port()
        self.web = f"http://127.0.0.1:{web}"
        self.head = self._node(["--head", "--port", str(self.port), "--dashboard-host", "127.0.0.1",
                                "--dashboard-port", str(web), "--include-dashboard", str(dashboard).lower(),
                                "--num-cpus", str(cpus)])
        self._wait(self.port)
        if dashboard:
            self._answers()
        self.address = f"127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return what a process of the cluster, or a client of its, has in its environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {**kept, "PATH": path, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token),
                "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, [
                    str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))}

    def add(self, *before: str, cpus: int = 1, options: tuple[str, ...] = ()) -> subprocess.Popen:
        """Start a node, by a command that words `before` may wrap, and wait until it is up.

        Nodes that start at once on one machine can take each other's ports; on machines of their own they cannot.
        """
        node = self._node(["--address", self.address, "--num-cpus", str(cpus), *options], before)
        end = time.monotonic() + 120
        while "Ray runtime started" not in (said := self._log(node)):
            assert time.monotonic() < end and node.poll() is None, said[-2000:]
            time.sleep(0.2)
        return node

    def run(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess:
        """Run the command line as a client that has the token."""
        return subprocess.run(real.command(*arguments), env=self.environment(), capture_output=True, text=True,
                              timeout=timeout, check=False)

    def full(self, cpus: int, seconds: float = 120) -> None:
        """Wait until the cluster has so many cores; a process of its own asks, for Ray reads its token but once."""
        ask = (f"import ray, time; ray.init(address='{self.address}', log_to_driver=False)\n"
               f"while ray.cluster_resources().get('CPU', 0) < {cpus}: time.sleep(0.2)")
        try:
            subprocess.run([sys.executable, "-c", ask], env=self.environment(), capture_output=True, timeout=seconds,
                           check=True)
        except subprocess.SubprocessError as error:
            raise AssertionError("\n".join(f"node {place}, exit code {node.poll()}: {self._log(node)[-800:]}"
                                           for place, node in enumerate(self.nodes))) from error

    def kill(self, node: subprocess.Popen) -> None:
        """Let a node die at once, as when its machine loses power."""
        for number in [*real.below(node.pid), node.pid]:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        node.wait()

    def close(self) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _node(self, words: list[str], before: tuple[str, ...] = ()) -> subprocess.Popen:
        command = [*before, sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
                   "--object-store-memory", STORE, "--temp-dir", str(self.folder / "r"),
                   "--dashboard-agent-listen-port", str(free_port()), *words]
        log = (self.folder / f"node{len(self.nodes)}.log").open("w")
        node = subprocess.Popen(command, env=self.environment(), start_new_session=True, stdout=log,
                                stderr=subprocess.STDOUT)
        self.nodes.append(node)
        return node

    def _log(self, node: subprocess.Popen) -> str:
        return (self.folder / f"node{self.nodes.index(node)}.log").read_text()

    def _wait(self, port: int, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert time.monotonic() < end and self.head.poll() is None, self._log(self.head)[-2000:]
                time.sleep(0.2)

    def _answers(self, seconds: float = 120) -> None:
        """Wait for the dashboard, which refuses us for want of a token as soon as it is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{self.web}/api/jobs/", timeout=5)
                raise AssertionError("the jobs of the cluster are open to anybody")
            except urllib.error.HTTPError as error:
                assert error.code in (401, 403)
                return
            except OSError:
                time.sleep(0.3)
        raise AssertionError(self._log(self.head)[-2000:])

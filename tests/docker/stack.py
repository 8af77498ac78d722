"""The processes of compose.yaml, started with its own command lines where Docker has no say: in namespaces of Linux.

Its network, mounts and process numbers are the stack's own: host names, ports and paths are those of the file, and
nothing of it is left when its first process ends.
"""
from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
VARIABLE = re.compile(r"(?<!\$)\$\{\w+:-([^}]*)}")
OWN = ("unshare", "--mount", "sh", "-c", 'mkdir -p /tmp/ray && mount -t tmpfs none /tmp/ray && exec "$@"', "own")
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def possible() -> str:
    """Return why the stack cannot be started here; empty if it can."""
    if os.geteuid() or not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], check=False).returncode:
        return "needs root on Linux, for namespaces"
    return "" if POSTGRES else "needs PostgreSQL: apt install postgresql"


def words(service: str) -> list[str]:
    """Return a service's command as Docker runs it: variables have their defaults, `$$` is a dollar."""
    return [VARIABLE.sub(r"\1", word).replace("$$", "$") for word in SERVICES[service]["command"]]


class Stack:
    """What `docker compose up` starts, on loopback."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stack-", dir="/tmp"))
        shutil.copytree(DOCKER, self.folder / "docker", ignore=shutil.ignore_patterns("secrets"))
        subprocess.run(["sh", str(self.folder / "docker" / "secrets.sh")], check=True, capture_output=True)
        for name in ("srv/runs", "srv/mlflow", "postgres", "logs"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        shutil.chown(self.folder / "postgres", "postgres")
        (self.folder / "hosts").write_text("127.0.0.1 localhost postgres mlflow head worker\n")
        self.root = subprocess.Popen([*UNSHARE, "sh", "-euc", self._mounts()], start_new_session=True)
        time.sleep(1)
        self.started: dict[str, subprocess.Popen] = {}

    def secret(self, name: str) -> str:
        return (self.folder / "docker" / "secrets" / name).read_text()

    def inside(self, *command: str, user: str = "", **environment: str) -> list[str]:
        """Return a command that runs another inside, with nothing of this process's environment but the path."""
        first = int(Path(f"/proc/{self.root.pid}/task/{self.root.pid}/children").read_text().split()[0])
        path = os.pathsep.join([str(Path(sys.executable).parent), *(str(folder) for folder in POSTGRES[-1:]),
                                "/usr/bin:/bin"])
        given = {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(self.folder), **environment}
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return ["nsenter", "--target", str(first), "--mount", "--net", "--pid", "env", "-i", f"--chdir={self.folder}",
                *(f"{name}={value}" for name, value in given.items()), *who, *command]

    def run(self, *command: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(self.inside(*command, **environment), capture_output=True, text=True, timeout=timeout,
                              check=False)

    def initialize(self) -> None:
        """Do what the image of Postgres does before its first start."""
        given = SERVICES["postgres"]["environment"]
        data = "/var/lib/postgresql/data"
        script = (f"initdb --pgdata={data} --username={given['POSTGRES_USER']} {given['POSTGRES_INITDB_ARGS']} "
                  f"--pwfile={given['POSTGRES_PASSWORD_FILE']} && echo 'create database {given['POSTGRES_DB']}' | "
                  f"postgres --single -D {data} postgres && "
                  f"echo 'host all all all scram-sha-256' >> {data}/pg_hba.conf")
        done = subprocess.run(self.inside("sh", "-euc", script, user="postgres"), capture_output=True, text=True,
                              timeout=300, check=False)
        assert done.returncode == 0, done.stderr

    def start(self, service: str, name: str = "") -> None:
        """Start a service by its own command in its own environment."""
        given = {key: str(value) for key, value in SERVICES[service].get("environment", {}).items()}
        user = ""
        if service == "postgres":
            given, user = {"PGDATA": "/var/lib/postgresql/data"}, "postgres"
        log = (self.folder / "logs" / f"{name or service}.log").open("w")
        own = OWN if service in ("head", "worker") else ()      # Ray tidies up in what is a container's own
        self.started[name or service] = subprocess.Popen(self.inside(*own, *words(service), user=user, **given),
                                                         stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def healthy(self, service: str, seconds: float = 240) -> None:
        """Wait until the service's own health check passes."""
        given = {key: str(value) for key, value in SERVICES[service].get("environment", {}).items()}
        end, check = time.monotonic() + seconds, SERVICES[service]["healthcheck"]["test"][1:]
        while self.run(*check, **given).returncode:
            log = (self.folder / "logs" / f"{service}.log").read_text()[-3000:]
            assert time.monotonic() < end and self.started[service].poll() is None, log
            time.sleep(1)

    def kill(self, name: str) -> None:
        """Let a started service die at once, with all that it started."""
        from ..search import real

        for number in real.below(self.started[name].pid):
            os.kill(number, signal.SIGKILL)
        self.started[name].wait()

    def close(self) -> None:
        """End the first process of the namespace, and so all of them."""
        os.killpg(self.root.pid, signal.SIGKILL)
        self.root.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mounts(self) -> str:
        here = shlex.quote(str(self.folder))
        return (f"ip link set lo up; mount --bind {here}/hosts /etc/hosts; mount --bind {here}/srv /srv; "
                f"mkdir -p {here}/run; mount -t tmpfs none /run; mkdir -p /run/secrets /run/postgresql; "
                "chmod 777 /run/postgresql; "
                f"mount --bind {here}/docker/secrets /run/secrets; chmod 755 /run/secrets; "
                f"mkdir -p {here}/var/data; mount --bind {here}/var /var/lib/postgresql; "
                f"mount --bind {here}/postgres /var/lib/postgresql/data; exec sleep 100000")

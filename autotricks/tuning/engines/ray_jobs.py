"""Jobs: searches that a Ray cluster runs by itself, so that they outlive the machine that asked for them."""
from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from ...errors import EngineError, InputError

OURS = "autotricks"     # the key of a job's metadata under which its space stands
PORT = 8265             # of Ray's dashboard
PATIENCE = 10.0         # seconds in which a cluster must take a connection
OVER = ("SUCCEEDED", "FAILED", "STOPPED")
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What a cluster says of one search.

    Args:
        name: By which it is asked for.
        space: What it searches.
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        message: Ray's sentence about the status.
        command: What runs.
        began: Seconds since 1970; 0 where it has not begun.
        ended: The same; 0 while it runs.
    """

    name: str
    space: str
    status: str
    message: str
    command: str
    began: float
    ended: float

    @property
    def over(self) -> bool:
        """Whether it has ended, however."""
        return self.status in OVER

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return (self.ended or time.time()) - self.began if self.began else 0.0


def checked(address: str) -> str:
    """Return the address of a cluster's dashboard in full.

    Raises:
        InputError: When it is none, or holds a password, which would end up in logs.
    """
    given = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(given)
        port = parts.port or (443 if parts.scheme == "https" else PORT)
    except ValueError:
        parts = urlsplit("")
        port = 0
    if "@" in parts.netloc:
        raise InputError("--address: holds a name or password. Take it out: the cluster's token is read from "
                         "RAY_AUTH_TOKEN or the file RAY_AUTH_TOKEN_PATH.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise InputError(f"--address {address or '(empty)'}: not the address of a cluster's dashboard. Write "
                         f"http://HOST:{PORT}, here or in RAY_API_SERVER_ADDRESS.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


class Jobs:
    """The searches of one cluster.

    Args:
        address: Of its dashboard, such as `http://127.0.0.1:8265`.

    Raises:
        InputError: When nobody answers there, or the token is missing or another cluster's.
    """

    def __init__(self, address: str):
        self.address = checked(address)
        self._reach()
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address     # Ray prefers it to what it is told
        if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ):
            os.environ.setdefault("RAY_AUTH_MODE", "token")     # read once, when ray is imported
        from ray.job_submission import JobSubmissionClient

        for name in ("dashboard_sdk", "job.sdk"):   # which set their own level
            logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)
        self._client = self._call(lambda: JobSubmissionClient(self.address))

    def submit(self, command: str, folder: Path, space: str) -> str:
        """Let the cluster run a command in a copy of a folder; return the job's name."""
        name = f"{space}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        return self._call(lambda: str(self._client.submit_job(
            entrypoint=command, submission_id=name, metadata={OURS: space},
            runtime_env={"working_dir": str(folder), "env_vars": {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}})))

    def all(self) -> list[Job]:
        """Return the searches that the cluster knows, newest first."""
        jobs = [_job(details) for details in self._call(self._client.list_jobs) if OURS in (details.metadata or {})]
        return sorted(jobs, key=lambda job: -job.began)

    def find(self, name: str) -> Job:
        """Return a search by its name; `latest` is the newest.

        Raises:
            InputError: When the cluster knows none of that name.
        """
        jobs = self.all()
        for job in jobs:
            if name in (job.name, "latest"):
                return job
        known = ", ".join(job.name for job in jobs[:3]) or "none"
        raise InputError(f"{name}: the cluster at {self.address} knows no such search. Newest: {known}.")

    def logs(self, name: str) -> str:
        """Return all that a search has printed."""
        return str(self._call(lambda: self._client.get_job_logs(name)))

    def follow(self, name: str) -> Iterator[str]:
        """Yield what a search prints, from its beginning, until it ends."""
        stream = cast(AsyncGenerator[str, None], self._client.tail_job_logs(name))
        loop = asyncio.new_event_loop()
        try:
            while (text := self._call(lambda: loop.run_until_complete(anext(stream, None)))) is not None:
                yield text
        finally:
            loop.run_until_complete(stream.aclose())
            loop.close()

    def stop(self, name: str, patience: float = 60.0) -> Job:
        """End a search; return it once it has ended, or as it is when patience does."""
        self._call(lambda: self._client.stop_job(name))
        until = time.monotonic() + patience
        while not (job := self.find(name)).over and time.monotonic() < until:
            time.sleep(0.5)
        return job

    def _reach(self) -> None:
        """Refuse an address at which nobody listens; Ray's own client would wait for minutes."""
        parts = urlsplit(self.address)
        try:
            socket.create_connection((str(parts.hostname), int(parts.port or PORT)), PATIENCE).close()
        except OSError as error:
            raise InputError(f"--address {self.address}: nobody answers: {error.strerror or error}. Is the cluster "
                             "up, and its dashboard's port open to you?") from None

    def _call(self, call: Callable[[], T]) -> T:
        """Call the cluster and put what goes wrong into one line."""
        import requests
        from ray.exceptions import AuthenticationError

        try:
            return call()
        except AuthenticationError:
            raise InputError(f"--address {self.address}: Ray refuses: the token is missing or another cluster's. Set "
                             "RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to the file that holds the cluster's.") from None
        except (RuntimeError, OSError, ValueError, requests.RequestException) as error:
            line = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            raise EngineError(f"{self.address}: {line}") from None


def _job(details: Any) -> Job:
    status = getattr(details.status, "value", details.status)
    return Job(details.submission_id, details.metadata[OURS], str(status), details.message or "", details.entrypoint,
               (details.start_time or 0) / 1000, (details.end_time or 0) / 1000)

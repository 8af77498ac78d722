"""MLflow: one run a search, below it one a trial, below that one a fresh seed; written by a thread nobody waits for."""
from __future__ import annotations

import hashlib
import json
import math
import queue
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .address import redacted
from .model_registry import Entry, register
from .store import client, default_uri, error_text
from .tracker import Row, Tracker

PATIENCE = 3     # failures in a row after which the server is taken to be down
SLOW = 1.0       # seconds that a server takes on average, from which on it is not waited for
CHUNK = 900      # figures in one request; MLflow takes 1,000
LONGEST = 250    # letters of a figure's name
SEARCH = ""     # key of the search's own run
STATUS = {"failed": "FAILED", "interrupted": "KILLED"}
VIEW = "autotricks"
COLUMNS = {"attributes.`Run Name`": 330, "metrics.`score`": 90, "metrics.`fresh_score`": 90, "tags.`end`": 90,
           "metrics.`rung`": 70, "metrics.`epochs_spent`": 100, "params.`bundle`": 480}   # widths in pixels
# What MLflow's page of runs shows when its address names this view; by default it shows no figure at all.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    f"mlflow.sharedViewState.{VIEW}": json.dumps({
        "orderByKey": "metrics.`score`", "orderByAsc": False, "selectedColumns": list(COLUMNS)[1:],
        "columnOrder": list(COLUMNS), "columnWidths": COLUMNS})}


@dataclass
class Written:
    """What a run of the store holds.

    Args:
        id: Of the run.
        fresh: Whether it was made by this process, so that nothing else is in it.
        steps: Those of each metric that was asked for or written, as bits: a long search has many.
    """

    id: str
    fresh: bool = True
    name: str = ""
    status: str = "RUNNING"
    parameters: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Any) -> Written:
        """Return what a run of MLflow holds."""
        return cls(run.info.run_id, False, run.info.run_name, run.info.status, set(run.data.params),
                   dict(run.data.tags), dict(run.data.metrics))


class MlflowTracker(Tracker):
    """A tracker whose calls are put into a queue and written by a thread of its own.

    Args:
        uri: A tracking server or `sqlite:///` file.
        artifacts: Folder for the artifacts of a local store.

    Attributes:
        experiment_id: Set once the store has answered.
        version: Version of the registered model, once there is one.
        count: What was put into the store: `runs`, `figures`, `files`.
    """

    def __init__(self, uri: str, artifacts: Path):
        self.uri = uri
        self._artifacts = artifacts
        self.experiment_id: str | None = None
        self.version: str | None = None
        self.count: Counter[str] = Counter()
        self._client: Any = None
        self._runs: dict[str, Written] = {}
        self._failures = 0
        self._problem = ""
        self._name = "RUN"
        self._unsure = False                # whether the store may hold more than it said
        self._times: list[float] = [0.0]    # that writing took; the last is of what is being written
        self._since: float | None = None
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, name="mlflow", daemon=True)
        self._thread.start()

    def started(self, search: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the parent run in the experiment of the search's name, or go on in it."""
        self._name = tags["run"]
        self._queue.put(lambda: self._begin(search, parameters, tags))

    def opened(self, key: str, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str],
               below: str = SEARCH) -> None:
        """Open a run below another, or go on in it."""
        self._queue.put(lambda: self._open(key, name, parameters, tags, below))

    def rows(self, key: str, rows: Sequence[Row], first_step: int) -> None:
        """Add rows of metrics at consecutive steps."""
        now = int(time.time() * 1000)
        self._queue.put(lambda: self._log(key, rows, first_step, now))

    def closed(self, key: str, name: str, tags: Mapping[str, str], metrics: Row) -> None:
        """Rename and close a run."""
        self._queue.put(lambda: self._close(key, {**tags, "mlflow.runName": name}, metrics))

    def artifact(self, path: Path) -> None:
        """Attach a file to the parent run."""
        self._queue.put(lambda: self._attach(path))

    def register(self, entry: Entry) -> None:
        """Register a confirmed champion as a version of a model."""
        self._queue.put(lambda: self._register(entry))

    def ended(self, metrics: Row, tags: Mapping[str, str]) -> None:
        """Close the parent run."""
        self._queue.put(lambda: self._close(SEARCH, tags, metrics))

    def close(self, seconds: float, slow: float = math.inf) -> str | None:
        """Wait for the thread to write what is left."""
        self._queue.put(None)
        started_at = time.monotonic()
        while self._thread.is_alive():
            limit = min(seconds, slow) if self._slow() else seconds
            left = limit - (time.monotonic() - started_at)
            if left <= 0:
                return self._missing(f"not within {limit:.3g} s.")
            self._thread.join(min(0.05, left))
        return self._problem or None

    def _slow(self) -> bool:
        """Return whether a server takes long to answer; a file is nobody's to wait for."""
        now = time.monotonic() - self._since if self._since else 0.0
        return self.uri.startswith("http") and sum(self._times) + now > SLOW * len(self._times)

    def _missing(self, why: str) -> str:
        root = self._artifacts.parent
        there = "" if self.uri == default_uri(root) else f" --tracking {self.uri}"
        return redacted(f"MLflow at {self.uri} did not take everything: {why.rstrip('.')}. The ledger has it all; put "
                        f"the rest there with: autotricks sync {root / self._name}{there}")

    def _write(self) -> None:
        """Carry out what is in the queue; give up on a server that keeps failing, never on the search."""
        while (work := self._queue.get()) is not None:
            if self._failures >= PATIENCE:
                continue
            why = self._wrong(work) and self._wrong(work)
            if not why:
                self._failures = 0
            else:
                self._failures = self._failures + 1 if SEARCH in self._runs else PATIENCE
            self._problem = self._missing(why) if why else self._problem

    def _wrong(self, work: Callable[[], None]) -> str:
        """Do a piece of work, and return what went wrong.

        Where an answer was lost, the work may have been done. So whatever comes next looks first at what is there.
        """
        try:
            self._client = self._client or client(self.uri)
            self._since = time.monotonic()
            if self._unsure and SEARCH in self._runs:
                self._take_up(self._client.get_run(self._runs[SEARCH].id))
            self._unsure = False
            work()
        except Exception as error:  # whatever a server or database may answer must not end a search
            self._unsure = True
            return error_text(error)
        finally:
            self._times.append(time.monotonic() - self._since if self._since else 0.0)
            self._since = None
        return ""

    def _begin(self, search: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        if SEARCH in self._runs:
            return
        experiment = self._client.get_experiment_by_name(search)
        location = self._artifacts.resolve().as_uri() if self.uri.startswith("sqlite") else None
        self.experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(
            search, location, EXPERIMENT_TAGS)
        known = self._client.search_runs([self.experiment_id], f"tags.run = '{tags['run']}'", max_results=1)
        if known:
            self._take_up(known[0])
        else:
            self._create(SEARCH, tags["run"], tags)
        self._parameters(self._runs[SEARCH], parameters)

    def _take_up(self, parent: Any) -> None:
        """Go on in the run of an earlier sitting, with the runs below it that it has."""
        token = None
        runs = []
        while True:
            page = self._client.search_runs([self.experiment_id], f"tags.within = '{parent.info.run_id}'",
                                            max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                break
        self._runs = {**{run.data.tags["key"]: Written.of(run) for run in runs}, SEARCH: Written.of(parent)}
        self._reopen(self._runs[SEARCH])

    def _create(self, key: str, name: str, tags: Mapping[str, str]) -> None:
        run = self._client.create_run(self.experiment_id, tags={**tags, "mlflow.runName": name})
        self._runs[key] = Written(run.info.run_id, name=name, tags=dict(tags))
        self.count["runs"] += 1

    def _reopen(self, run: Written, name: str | None = None) -> None:
        self._client.update_run(run.id, "RUNNING", name)
        run.status = "RUNNING"
        run.name = name or run.name

    def _open(self, key: str, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str], below: str) -> None:
        if below not in self._runs:     # the server did not take it; `sync` will find it missing
            return
        if key not in self._runs:
            self._create(key, name, {**tags, "mlflow.parentRunId": self._runs[below].id,
                                     "within": self._runs[SEARCH].id, "key": key})
        elif self._runs[key].status == "KILLED":
            self._reopen(self._runs[key], name)
        self._parameters(self._runs[key], parameters)

    def _register(self, entry: Entry) -> None:
        self.version, self.standing = register(self._client, self._runs[SEARCH].id, entry)

    def _attach(self, path: Path) -> None:
        """Attach a file unless it is there as it is now; the run's tag `files` holds checksums."""
        run = self._runs[SEARCH]
        known = json.loads(run.tags.get("files", "{}"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        if known.get(path.name) == digest:
            return
        self._client.log_artifact(run.id, str(path))
        run.tags["files"] = json.dumps({**known, path.name: digest})
        self._client.set_tag(run.id, "files", run.tags["files"])
        self.count["files"] += 1

    def _parameters(self, run: Written, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        pairs = [Param(name, str(value)) for name, value in parameters.items() if name not in run.parameters]
        for start in range(0, len(pairs), 100):
            self._client.log_batch(run.id, params=pairs[start:start + 100])
            run.parameters.update(sys.intern(pair.key) for pair in pairs[start:start + 100])

    def _log(self, key: str, rows: Sequence[Row], first_step: int, now: int) -> None:
        from mlflow.entities import Metric

        run = self._runs.get(key)
        if run is None:
            return
        metrics = [Metric(name, value, now, step) for step, row in enumerate(rows, first_step)
                   for name, value in _written(row).items() if name != "epoch"
                   if value is not None and math.isfinite(value) and not self._steps(run, name) >> step & 1]
        for start in range(0, len(metrics), CHUNK):
            self._write_batch(run, metrics[start:start + CHUNK])

    def _steps(self, run: Written, name: str) -> int:
        """Return the steps at which a metric has been written, as bits."""
        if name not in run.steps:
            history = [] if run.fresh else self._client.get_metric_history(run.id, name)
            run.steps[name] = sum(1 << step for step in {metric.step for metric in history})
        return run.steps[name]

    def _write_batch(self, run: Written, metrics: Sequence[Any], tags: Sequence[Any] = ()) -> None:
        """Write metrics and tags in one request."""
        self._client.log_batch(run.id, metrics=metrics, tags=tags)
        self.count["figures"] += len(metrics)
        for metric in metrics:
            run.steps[metric.key] = self._steps(run, metric.key) | 1 << metric.step
            run.metrics[metric.key] = metric.value

    def _close(self, key: str, tags: Mapping[str, str], metrics: Row) -> None:
        from mlflow.entities import Metric, RunTag

        run = self._runs.get(key)
        if run is None:
            return
        now = int(time.time() * 1000)
        new_tags = {name: value for name, value in tags.items() if run.tags.get(name) != value}
        new_metrics = [Metric(name, value, now, 0) for name, value in _written(metrics).items()
                       if run.metrics.get(name) != value]
        if new_tags or new_metrics:
            self._write_batch(run, new_metrics, [RunTag(name, value) for name, value in new_tags.items()])
            run.tags.update(new_tags)
        status = STATUS.get(tags.get("end", ""), "FINISHED")
        if run.status != status:
            self._client.set_terminated(run.id, status)
            run.status = status


def _written(row: Row) -> dict[str, float]:
    """Return figures by names that MLflow takes."""
    return {_name(name): value for name, value in row.items()}


def _name(figure: str) -> str:
    """Return what MLflow calls a figure: `val/recall[a/b]` is `val/recall a_b` there."""
    split, slash, name = figure.partition("/")
    plain = re.sub(r"[^\w.\- ]", "_", name.replace("[", " ").replace("]", ""))
    return f"{split}{slash}{plain}"[:LONGEST]

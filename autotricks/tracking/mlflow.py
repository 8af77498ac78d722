"""MLflow: one parent run a search, one child a trial, written by one thread that nobody waits for."""
from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .registry import register
from .store import client, redacted
from .tracker import Row, Tracker

PATIENCE = 3     # failures in a row after which the server is taken to be down
CHUNK = 900      # figures in one request; MLflow takes 1,000
VIEW = "autotricks"
COLUMNS = {"attributes.`Run Name`": 330, "metrics.`score`": 90, "tags.`end`": 90, "metrics.`rung`": 70,
           "metrics.`epochs_spent`": 100, "params.`bundle`": 480}   # widths in pixels
# What MLflow's page of runs shows when its address names this view; by default it shows no figure at all.
EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    f"mlflow.sharedViewState.{VIEW}": json.dumps({
        "orderByKey": "metrics.`score`", "orderByAsc": False, "selectedColumns": list(COLUMNS)[1:],
        "columnOrder": list(COLUMNS), "columnWidths": COLUMNS})}


class MlflowTracker(Tracker):
    """A tracker whose calls are put into a queue and written by a thread of its own.

    Args:
        uri: A tracking server or `sqlite:///` file.
        artifacts: Folder for the artifacts of a local store.

    Attributes:
        experiment_id: Set once the store has answered.
        parent_id: Run of the search.
        version: Version of the registered model, once there is one.
    """

    def __init__(self, uri: str, artifacts: Path):
        self.uri, self._artifacts = uri, artifacts
        self.experiment_id: str | None = None
        self.parent_id: str | None = None
        self.version: str | None = None
        self._client: Any = None
        self._runs: dict[int, str] = {}
        self._failures, self._problem = 0, ""
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write, name="mlflow", daemon=True)
        self._thread.start()

    def began(self, search: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the parent run in the experiment of the search's name."""
        self._queue.put(lambda: self._open(search, parameters, tags))

    def trial(self, number: int, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open a trial's run below the parent."""
        self._queue.put(lambda: self._open_trial(number, name, parameters, tags))

    def rows(self, number: int, rows: Sequence[Row], first_step: int) -> None:
        """Add rows of metrics at consecutive steps."""
        now = int(time.time() * 1000)
        self._queue.put(lambda: self._log(number, rows, first_step, now))

    def trial_ended(self, number: int, name: str, tags: Mapping[str, str], metrics: Row) -> None:
        """Rename and close a trial's run."""
        self._queue.put(lambda: self._close(self._runs[number], tags, metrics, name))

    def artifact(self, path: Path) -> None:
        """Attach a file to the parent run."""
        self._queue.put(lambda: self._client.log_artifact(self.parent_id, str(path)))

    def ended(self, metrics: Row, tags: Mapping[str, str]) -> None:
        """Close the parent run."""
        self._queue.put(lambda: self._close(self.parent_id, tags, metrics))

    def register(self, name: str, files: Sequence[Path], shape: Sequence[int], classes: int,
                 tags: Mapping[str, str]) -> None:
        """Register the files of a bundle as a new version of a model."""
        self._queue.put(lambda: self._register(name, files, shape, classes, tags))

    def close(self, seconds: float) -> str | None:
        """Wait for the thread to write what is left."""
        self._queue.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            return redacted(f"MLflow at {self.uri} did not take everything within {seconds:g} s; "
                             "the ledger has it all.")
        return self._problem or None

    def _write(self) -> None:
        """Carry out what is in the queue; give up on a server that keeps failing, never on the search."""
        while (work := self._queue.get()) is not None:
            if self._failures >= PATIENCE:
                continue
            try:
                self._client = self._client or client(self.uri)
                work()
                self._failures = 0
            except Exception as error:  # whatever a server or database may answer must not end a search
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._failures = PATIENCE if self.parent_id is None else self._failures + 1
                self._problem = redacted(f"MLflow at {self.uri} did not take everything: {first[:200]} "
                                          "The ledger has it all.")

    def _open(self, search: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        found = self._client.get_experiment_by_name(search)
        location = self._artifacts.resolve().as_uri() if self.uri.startswith("sqlite") else None
        self.experiment_id = found.experiment_id if found else self._client.create_experiment(
            search, location, EXPERIMENT_TAGS)
        known = self._client.search_runs([self.experiment_id], f"tags.run = '{tags['run']}'", max_results=1)
        if known:
            self._take_up(known[0].info.run_id)
            return
        run = self._client.create_run(self.experiment_id, tags={**tags, "mlflow.runName": tags["run"]})
        self.parent_id = run.info.run_id
        self._parameters(run.info.run_id, parameters)

    def _take_up(self, run_id: str) -> None:
        """Go on in the run of an earlier sitting, with the trials' runs that it has."""
        self.parent_id = run_id
        self._client.update_run(run_id, "RUNNING")
        token = None
        while True:
            page = self._client.search_runs([self.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'",
                                            max_results=1000, page_token=token)
            self._runs.update({int(run.data.tags["trial"]): run.info.run_id for run in page})
            token = page.token
            if not token:
                return

    def _open_trial(self, number: int, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        if number in self._runs:
            self._client.update_run(self._runs[number], "RUNNING", name)
            return
        run = self._client.create_run(self.experiment_id, tags={
            **tags, "mlflow.parentRunId": self.parent_id, "mlflow.runName": name, "trial": str(number)})
        self._runs[number] = run.info.run_id
        self._parameters(run.info.run_id, parameters)

    def _register(self, name: str, files: Sequence[Path], shape: Sequence[int], classes: int,
                  tags: Mapping[str, str]) -> None:
        self.version = register(self._client, self.parent_id, name, files, (shape, classes), tags)

    def _parameters(self, run_id: str, parameters: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        pairs = [Param(name, str(value)) for name, value in parameters.items()]
        for place in range(0, len(pairs), 100):
            self._client.log_batch(run_id, params=pairs[place:place + 100])

    def _log(self, number: int, rows: Sequence[Row], first_step: int, now: int) -> None:
        from mlflow.entities import Metric

        figures = [Metric(name, value, now, first_step + place) for place, row in enumerate(rows)
                   for name, value in row.items()]
        for place in range(0, len(figures), CHUNK):
            self._client.log_batch(self._runs[number], metrics=figures[place:place + CHUNK])

    def _close(self, run_id: str | None, tags: Mapping[str, str], metrics: Row, name: str | None = None) -> None:
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        named = {**tags, "mlflow.runName": name} if name else tags
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in named.items()],
                               metrics=[Metric(key, value, now, 0) for key, value in metrics.items()])
        self._client.set_terminated(run_id, {"failed": "FAILED", "interrupted": "KILLED"}.get(tags.get("end", ""),
                                                                                              "FINISHED"))

"""Relay: passes what happens in a search on to a tracker."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.report import End
from ..export import BUNDLE, WEIGHTS
from ..space.load import LoadedSpace
from ..tracking import Tracker
from .climb import Outcome
from .folder import DATA, SPACE, TABLE
from .ledger import TrialRecord
from .search import Champion, Trial
from .table import flat


def title(trial: Trial, score: float | None = None, end: End | None = None) -> str:
    """Return a trial's name: its number, its score or why it has none, its label or tricks."""
    reached = f"{score:.4f}" if score is not None and end is End.FINISHED else end.value if end else "running"
    return f"{trial.number:03d}  {reached}  {trial.label or trial.bundle}"[:240]


class Relay:
    """A listener that tells a tracker.

    Args:
        tracker: Whom to tell.
        loaded: The space searched.
        facts: The data's facts.
        run: Name of the run's folder.
        past: Trials of earlier sittings, whose rows are there already.
    """

    def __init__(self, tracker: Tracker, loaded: LoadedSpace, facts: dict[str, Any], run: str,
                 past: Sequence[TrialRecord] = ()):
        self._tracker, self._document, self._facts = tracker, loaded.document, facts
        self._spent = {trial.number: trial.epochs for trial in past}
        self._rungs: dict[int, int] = {trial.number: trial.rungs[-1]["budget"] for trial in past if trial.rungs}
        self._open: set[int] = set()
        parameters = {f"{section}.{key}": value for section, values in loaded.resolved.items()
                      if isinstance(values, dict) and section != "tricks" for key, value in values.items()}
        tracker.began(self._document.name, {**parameters, "tricks": ", ".join(self._document.tricks)},
                      {"run": run, "fingerprint": facts["fingerprint"], "source": facts["source"]})

    def started(self, trial: Trial) -> None:
        """Open the trial's run."""
        self._open.add(trial.number)
        document = trial.bundle.document()
        parameters = {"bundle": str(trial.bundle), **flat(document),
                      **{f"training.{name}": value for name, value in document["training"].items()}}
        self._tracker.trial(trial.number, title(trial), parameters, {"hash": trial.bundle.hash, "label": trial.label})

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Pass on one row an epoch; the step counts the epochs that the trial has spent in all."""
        spent = self._spent.get(trial.number, 0.0)
        rows = [{name: value for name, value in row.items() if name != "epoch"} for row in outcome.curve]
        self._tracker.rows(trial.number, rows, int(spent) + 1)
        self._spent[trial.number] = spent + outcome.epochs
        self._rungs[trial.number] = budget

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Close the trial's run under its final name."""
        self._open.discard(trial.number)
        metrics = {"epochs_spent": self._spent.get(trial.number, 0.0), "rung": float(self._rungs.get(trial.number, 0))}
        if score is not None:
            metrics["score" if end is End.FINISHED else "rung_score"] = score
        self._tracker.trial_ended(trial.number, title(trial, score, end),
                                  {"end": end.value, "rung": str(self._rungs.get(trial.number, 0))}, metrics)

    def interrupt(self) -> None:
        """Close every run that is open as interrupted."""
        for number in self._open:
            self._tracker.trial_ended(number, f"{number:03d}  interrupted", {"end": "interrupted"}, {})
        self._tracker.ended({}, {"end": "interrupted"})

    def finish(self, folder: Path, champion: Champion | None, confirmed: Mapping[str, float | str] = {}) -> None:
        """Attach the files, register the champion with what fresh seeds said of it, close the parent run."""
        for name in (SPACE, DATA, TABLE, BUNDLE, WEIGHTS, "confirm.json", "report.html"):
            if (folder / name).exists():
                self._tracker.artifact(folder / name)
        metrics = {"score": champion.score} if champion else {}
        metrics.update({name: value for name, value in confirmed.items() if isinstance(value, float)})
        tags = {"champion": title(champion.trial, champion.score, End.FINISHED) if champion else "none",
                **{name: value for name, value in confirmed.items() if isinstance(value, str)}}
        if champion:
            self._tracker.register(self._document.name, [folder / BUNDLE, folder / WEIGHTS], self._facts["image_shape"],
                                   len(self._facts["classes"]), {**tags, "metric": self._document.objective.metric,
                                   "score": f"{champion.score:.6f}", "fingerprint": self._facts["fingerprint"],
                                   "hash": champion.trial.bundle.hash})
        self._tracker.ended(metrics, tags)


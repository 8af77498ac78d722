"""Relay: passes what happens in a search on to a tracker."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.bundle import Bundle
from ..core.reporting import End
from ..runs.ledger import TrialRecord
from ..runs.table import flat
from ..runs.trial import Outcome, Trial
from ..space.load import LoadedSpace
from ..tracking import Tracker
from ..tricks.catalog import bundle_from


def title(trial: Trial, score: float | None = None, end: End | None = None) -> str:
    """Return a trial's name: its number, its score or why it has none, its label or tricks."""
    reached = end.value if end else "running"
    if score is not None and end is End.FINISHED:
        reached = f"{score:.4f}"
    return f"{trial.number:03d}  {reached}  {trial.label or trial.bundle}"[:240]


def key(number: int) -> str:
    """Return the key of a trial's run."""
    return f"trial {number}"


def parameters(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle as flat parameters."""
    document = bundle.document()
    return {"bundle": str(bundle), **flat(document),
            **{f"training.{name}": value for name, value in document["training"].items()}}


class TrackingListener:
    """A listener that tells a tracker.

    Args:
        tracker: Whom to tell.
        loaded: The space searched.
        facts: The data's facts.
        run: Name of the run's folder.
        past: Trials of earlier sittings, which are told of elsewhere.
    """

    def __init__(self, tracker: Tracker, loaded: LoadedSpace, facts: dict[str, Any], run: str,
                 past: Sequence[TrialRecord] = ()):
        self._tracker = tracker
        self._document = loaded.document
        self._facts = facts
        self._spent = {trial.number: trial.epochs for trial in past}
        self._rungs: dict[int, int] = {trial.number: trial.rungs[-1]["budget"] for trial in past if trial.rungs}
        self._open: set[int] = set()
        settings = {f"{section}.{name}": value for section, values in loaded.resolved.items()
                    if isinstance(values, dict) and section != "tricks" for name, value in values.items()}
        tracker.started(self._document.name, {**settings, "tricks": ", ".join(self._document.tricks)},
                        {"run": run, "fingerprint": facts["fingerprint"], "source": facts["source"]})

    def started(self, trial: Trial) -> None:
        """Open the trial's run."""
        self._open.add(trial.number)
        self._tracker.opened(key(trial.number), title(trial), parameters(trial.bundle), {
            "trial": str(trial.number), "hash": trial.bundle.hash, "label": trial.label})

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Pass on one row an epoch; the step counts the epochs that the trial has spent in all."""
        spent = self._spent.get(trial.number, 0.0)
        self._tracker.rows(key(trial.number), outcome.curve, int(spent) + 1)
        self._spent[trial.number] = spent + outcome.epochs
        self._rungs[trial.number] = budget

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Close the trial's run under its final name."""
        self._open.discard(trial.number)
        metrics = {"epochs_spent": self._spent.get(trial.number, 0.0), "rung": float(self._rungs.get(trial.number, 0))}
        if score is not None:
            metrics["score" if end is End.FINISHED else "rung_score"] = score
        self._tracker.closed(key(trial.number), title(trial, score, end),
                             {"end": end.value, "rung": str(self._rungs.get(trial.number, 0)),
                              **({"reason": trial.reason} if trial.reason else {})}, metrics)

    def interrupt(self) -> None:
        """Close every run that is open as interrupted."""
        for number in self._open:
            self._interrupted(number)
        self._tracker.ended({}, {"end": "interrupted"})

    def replay(self, trials: Sequence[TrialRecord]) -> None:
        """Tell of trials of the ledger as if they happened now."""
        for record in trials:
            trial = Trial(record.number, record.label, bundle_from(record.bundle), reason=record.reason)
            self.started(trial)
            for line in record.rungs:
                self.reached(trial, Outcome(line["rung"], None, line["metrics"], line["curve"], line["epochs"],
                                            line["seconds"]), line["budget"], None)
            if record.end is None:
                self._interrupted(record.number)
            else:
                self.ended(trial, End(record.end), record.score(self._document.objective.metric))

    def _interrupted(self, number: int) -> None:
        self._tracker.closed(key(number), f"{number:03d}  interrupted", {"end": "interrupted"}, {})

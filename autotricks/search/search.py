"""Search: all trials of one space on one data set, proposed, heard and recorded in one place."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..catalog import bundle_from
from ..core.bundle import Bundle
from ..core.report import End
from ..space.carried import Carried, of_space
from ..space.load import BASELINE, LoadedSpace
from .chooser import Chooser, Picks
from .climb import Course, Outcome
from .ledger import Ledger, TrialRecord, records
from .rungs import Halving, budgets


@dataclass(frozen=True)
class Trial:
    """One bundle drawn from a space and trained.

    Args:
        number: Place in the search, from 0.
        label: The start bundle's name; empty for a drawn one.
        bundle: What is trained.
        first: The rung to begin with; those below are in the ledger already.
    """

    number: int
    label: str
    bundle: Bundle
    first: int = 0

    @property
    def protected(self) -> bool:
        """Whether the trial always runs to the end, as start trials do."""
        return bool(self.label)


BROKEN = (End.DIVERGED, End.OUT_OF_MEMORY)


class Listener(Protocol):
    """Whoever follows a search: the screen, the tracker. Called after the ledger has the line on disk."""

    def started(self, trial: Trial) -> None:
        """Hear that a trial begins."""

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Hear what a trial reached at a rung."""

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Hear why a trial ended."""


@dataclass
class Champion:
    """The best trial so far that was trained to the end, with its weights as safetensors."""

    trial: Trial
    score: float
    metrics: dict[str, float]
    weights: bytes = field(default=b"", repr=False)


class Search:
    """Hands out trials and takes in what they reached; the ledger hears of it before anybody else.

    Args:
        loaded: The space and its settings.
        ledger: Where everything is recorded; what it holds already is not done again.
        listeners: Told after the ledger.
        deadline: Time of the monotonic clock after which no trial is handed out.
        keep: Called with each new champion.
    """

    def __init__(self, loaded: LoadedSpace, ledger: Ledger, listeners: Sequence[Listener] = (),
                 deadline: float = math.inf, keep: Callable[[Champion], None] = lambda champion: None):
        document, self._loaded = loaded.document, loaded
        self.settings, self.resources = document.search, document.resources
        self.objective = document.objective.objective()
        self.budgets = budgets(document.training.epochs, self.settings.rungs.first, self.settings.rungs.reduction)
        self._ledger, self._listeners, self._deadline, self._keep = ledger, listeners, deadline, keep
        self._start = list(loaded.start.items())
        self._chooser = Chooser(loaded.space, self.settings.sampler, self.settings.seed, self.maximize,
                                self.settings.trials)
        self._trials: dict[int, Trial] = {}
        self._reached: dict[int, dict[int, float | None]] = {}
        self._waiting: list[TrialRecord] = []
        self.champion: Champion | None = None
        self._baseline: dict[str, float] | None = None     # its figures, once it is trained to the end
        self._recall()

    @property
    def maximize(self) -> bool:
        """Whether a larger score is better."""
        return self.objective.maximize

    def course(self, trust: bool = False) -> Course:
        """Return what the trials' processes must know."""
        return Course(self.budgets, self.settings.rungs.fidelity == "compressed",
                      "cuda" if self.resources.gpus else "cpu", trust, self.settings.patience)

    def carried(self) -> Carried:
        """Return the files and bundles that tricks name, for machines that do not have them."""
        return of_space(self._loaded)

    def halving(self) -> Halving:
        """Return the rule that stops trials, with what the ledger's trials scored."""
        rule = Halving(self.settings.rungs.reduction, len(self.budgets))
        for number, rung, score in self.recorded():
            rule.keeps(rung, score, self.waits(number, rung))
        return rule

    def waits(self, number: int, rung: int) -> bool:
        """Return whether a trick of a trial has still to open at a rung: never where rungs train whole bundles."""
        uses = self._trials[number].bundle.uses
        opens = max((use.window.start for use in uses if not use.window.empty), default=0.0)
        return self.settings.rungs.fidelity == "prefix" and opens * self.budgets[-1] >= self.budgets[rung]

    def recorded(self) -> list[tuple[int, int, float]]:
        """Return (trial, rung, score with larger better) of every rung in the ledger, in the order of its lines."""
        metric = self.objective.metric
        return [(line["trial"], line["rung"], self.gain(line["metrics"][metric])) for line in self._ledger.lines
                if line["kind"] == "rung" and line.get("end") in (None, End.FINISHED.value)
                and line["metrics"].get(metric) is not None]

    def gain(self, score: float) -> float:
        """Return a score turned so that larger is better."""
        return score if self.maximize else -score

    def propose(self) -> Trial | None:
        """Return the next trial, None when there is no more; unfinished ones of the ledger come first."""
        if time.monotonic() > self._deadline:
            return None
        if self._waiting:
            record = self._waiting.pop(0)
            trial = self._trials[record.number]
            begun = self._begin(trial, self._chooser.adopt(trial.number, trial.bundle, bool(trial.label)))
            for rung, score in self._reached[trial.number].items():
                if score is not None:
                    self._chooser.report(trial.number, self.budgets[rung], score)
            return begun
        number = len(self._trials)
        if number >= self.settings.trials:
            return None
        if number < len(self._start):
            label, bundle = self._start[number]
            return self._begin(Trial(number, label, bundle), self._chooser.adopt(number, bundle, True))
        proposed = self._chooser.propose(number, number - len(self._start))
        return self._begin(Trial(number, "", proposed[0]), proposed[1]) if proposed else None

    def report(self, trial: Trial, outcome: Outcome, attempt: int = 1) -> float | None:
        """Record what a trial reached at a rung; return its score, None where there is none. Twice is once."""
        metrics, budget = outcome.metrics, self.budgets[outcome.rung]
        score = metrics.get(self.objective.metric)
        if score is None or not math.isfinite(score) or outcome.end in BROKEN:
            score = None
        if outcome.rung in self._reached[trial.number]:
            return score
        self._ledger.append("rung", trial=trial.number, rung=outcome.rung, budget=budget, metrics=metrics,
                            curve=outcome.curve, epochs=outcome.epochs, seconds=round(outcome.seconds, 4),
                            cpu=round(outcome.cpu, 4), micro_batches=outcome.micro_batches, attempt=attempt,
                            hash=trial.bundle.hash, end=outcome.end.value if outcome.end else None)
        self._reached[trial.number][outcome.rung] = score
        if trial.label == BASELINE and outcome.end is End.FINISHED:
            self._baseline = metrics
        if score is not None:
            self._chooser.report(trial.number, budget, score)
        for listener in self._listeners:
            listener.reached(trial, outcome, budget, score)
        return score

    def verdict(self, trial: Trial, outcome: Outcome, kept: bool) -> End | None:
        """Return why a trial ends after an outcome, None if it goes on; `kept` is what the halving rule says."""
        if outcome.end:
            return outcome.end
        return None if kept or trial.protected else End.STOPPED

    def crowns(self, trial: Trial, outcome: Outcome) -> bool:
        """Return whether the outcome makes its trial the new champion, so that its weights are wanted."""
        score = outcome.metrics.get(self.objective.metric)
        if outcome.end is not End.FINISHED or score is None or not math.isfinite(score):
            return False
        return self._beats(score, outcome.metrics)

    def crown(self, trial: Trial, outcome: Outcome, weights: bytes) -> None:
        """Keep a new champion, weights first."""
        self.champion = Champion(trial, outcome.metrics[self.objective.metric], outcome.metrics, weights)
        self._keep(self.champion)

    def finish(self, trial: Trial, end: End, detail: str = "") -> None:
        """Record why a trial ended."""
        score = self._score(trial.number)
        self._ledger.append("end", trial=trial.number, reason=end.value, score=score, detail=detail,
                            hash=trial.bundle.hash, seed=trial.bundle.seed)
        self._chooser.tell(trial.number, score, end is End.FINISHED)
        for listener in self._listeners:
            listener.ended(trial, end, score)

    def records(self) -> list[TrialRecord]:
        """Return every trial, those of earlier sittings included."""
        return records(self._ledger.lines)

    def _begin(self, trial: Trial, picks: Picks | None) -> Trial:
        self._trials[trial.number] = trial
        self._reached.setdefault(trial.number, {})
        self._ledger.append("trial", trial=trial.number, label=trial.label, bundle=trial.bundle.document(),
                            hash=trial.bundle.hash, seed=trial.bundle.seed, picks=picks)
        for listener in self._listeners:
            listener.started(trial)
        return trial

    def _beats(self, score: float, metrics: dict[str, float]) -> bool:
        """Return whether a trial trained to the end is better than the champion and keeps what is to be kept."""
        better = self.champion is None or self.gain(score) > self.gain(self.champion.score)
        return better and not self.objective.lost(metrics, self._baseline)

    def _score(self, number: int) -> float | None:
        reached = self._reached[number]
        return reached[max(reached)] if reached else None

    def _recall(self) -> None:
        """Take up what the ledger holds: finished trials teach the chooser, the others wait to be trained."""
        past, last = records(self._ledger.lines), len(self.budgets) - 1
        for record in past:
            self._trials[record.number] = Trial(record.number, record.label, bundle_from(record.bundle),
                                                min(len(record.rungs), last))
            self._reached[record.number] = {line["rung"]: line["metrics"].get(self.objective.metric)
                                            for line in record.rungs}
            if record.broken:
                self._reached[record.number][record.rungs[-1]["rung"]] = None
        rule = Halving(self.settings.rungs.reduction, len(self.budgets))
        kept = {number: rule.keeps(rung, score, self.waits(number, rung)) for number, rung, score in self.recorded()}
        for record in past:
            trial, score = self._trials[record.number], record.score(self.objective.metric)
            stopped = record.rungs and len(record.rungs) <= last and not (kept.get(record.number) or trial.protected)
            if record.end is None and (record.broken or stopped):  # it ended at its last rung, but the line is missing
                end = End(record.rungs[-1]["end"]) if record.broken else End.STOPPED
                self._ledger.append("end", trial=trial.number, reason=end.value, score=score, detail="",
                                    hash=trial.bundle.hash, seed=trial.bundle.seed)
        past = records(self._ledger.lines)
        self._waiting = [record for record in past if record.end is None]
        self._chooser.replay((record for record in past if record.end is not None), self.objective.metric)
        scored = [(score, record) for record in past if record.end == End.FINISHED.value
                  and (score := record.score(self.objective.metric)) is not None]
        scored.sort(key=lambda pair: int(pair[1].rungs[-1]["seq"]))  # of equals, the first to arrive was crowned
        for score, record in scored:
            metrics = record.rungs[-1]["metrics"]
            self._baseline = metrics if record.label == BASELINE else self._baseline
            if self._beats(score, metrics):
                self.champion = Champion(self._trials[record.number], score, metrics)

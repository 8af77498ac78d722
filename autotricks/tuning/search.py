"""Search: all trials of one space on one data set, proposed, heard and recorded in one place."""
from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ..core.reporting import End
from ..runs.ledger import Ledger, TrialRecord, last_line, records
from ..runs.trial import Champion, Outcome, RungPlan, Trial
from ..space.load import LoadedSpace
from ..space.packing import Carried, of_space
from ..stats.verdict import BASELINE
from ..tricks.catalog import bundle_from
from .bayesian_sampler import BayesianSampler
from .halving import Halving, budgets
from .proposal import Picks, Proposal
from .samplers import sampler_of

if TYPE_CHECKING:   # Optuna takes its time, and the default sampler does without it
    from .optuna_sampler import OptunaSampler

ENOUGH = 3      # trials that failed for one reason, the baseline among them: the others would too
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+")       # in which one reason may differ from trial to trial
BROKEN = (End.DIVERGED, End.OUT_OF_MEMORY)


class Listener(Protocol):
    """Whoever follows a search: the screen, the tracker. Called after the ledger has the line on disk."""

    def started(self, trial: Trial) -> None:
        """Hear that a trial begins."""

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Hear what a trial reached at a rung."""

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Hear why a trial ended."""


class Search:
    """Hands out trials and takes in what they reached; the ledger hears of it before anybody else.

    Args:
        loaded: The space and its settings.
        ledger: Where everything is recorded; what it holds already is not done again.
        listeners: Told after the ledger.
        deadline: Time of the monotonic clock after which no trial is handed out.
        keep: Called with each new champion.
        sampler: What proposes; the one that the space names, unless told.
    """

    def __init__(self, loaded: LoadedSpace, ledger: Ledger, listeners: Sequence[Listener] = (),
                 deadline: float = math.inf, keep: Callable[[Champion], None] = lambda champion: None,
                 sampler: BayesianSampler | OptunaSampler | None = None):
        document = loaded.document
        self._loaded = loaded
        self.settings = document.search
        self.resources = document.resources
        self.objective = document.objective.objective()
        self.budgets = budgets(document.training.epochs, self.settings.rungs.first, self.settings.rungs.reduction)
        self._ledger = ledger
        self._listeners = listeners
        self._untold: list[Callable[[Listener], None]] = []
        self._together = False
        self._deadline = deadline
        self._keep = keep
        self._start = list(loaded.start.items())
        self._chooser = sampler or sampler_of(loaded)
        self._rule = Halving(self.settings.rungs.reduction, len(self.budgets))
        self._spent = 0.0
        self._failed = 0    # trials of this sitting
        self._trials: dict[int, Trial] = {}     # that have not ended; of the others the ledger knows enough
        self._reached: dict[int, dict[int, float | None]] = {}
        self._waiting: list[TrialRecord] = []
        self.champion: Champion | None = None
        self._baseline: dict[str, float] | None = None     # its figures, once it is trained to the end
        self._recall()

    @property
    def maximize(self) -> bool:
        """Whether a larger score is better."""
        return self.objective.maximize

    @property
    def spent(self) -> float:
        """Epochs trained so far, those of earlier sittings and restarts included."""
        return self._spent

    @property
    def ended(self) -> int:
        """Trials that have ended, those of earlier sittings included."""
        return sum(line["kind"] == "end" for line in self._ledger.lines)

    def course(self, trust: bool = False) -> RungPlan:
        """Return what the trials' processes must know."""
        return RungPlan(self.budgets, self.settings.rungs.fidelity == "compressed",
                        "cuda" if self.resources.gpus else "cpu", trust, self.settings.patience)

    def carried(self) -> Carried:
        """Return the files and bundles that tricks name, for machines that do not have them."""
        return of_space(self._loaded, weights=False)

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

    @contextmanager
    def together(self) -> Iterator[None]:
        """Wait for the disk once, at the end, for all that is recorded inside; listeners hear of it then.

        An engine takes in a worker's answer so: what was reached, why the trial ended, what is trained next.
        """
        self._together = True
        try:
            yield
        finally:
            self._together = False
            self._tell()

    def propose(self) -> Trial | None:
        """Return the next trial, None when there is no more; unfinished ones of the ledger come first."""
        if time.monotonic() > self._deadline:
            return None
        if self._waiting:
            record = self._waiting.pop(0)
            trial = self._trials[record.number]
            begun = self._begin(trial, self._chooser.adopt(trial.number, trial.bundle, bool(trial.label), record.step,
                                                           record.promise))
            for rung, score in self._reached[trial.number].items():
                if score is not None:
                    self._chooser.report(trial.number, self.budgets[rung], score)
            return begun
        number = len(self._reached)
        if number >= self.settings.trials or self._used_up() or (self._failed >= ENOUGH and self.failure):
            return None
        if number < len(self._start):
            label, bundle = self._start[number]
            return self._begin(Trial(number, label, bundle), self._chooser.adopt(number, bundle, True))
        proposed = self._chooser.propose(number, number - len(self._start))
        if proposed is None:
            return None
        return self._begin(Trial(number, "", proposed.bundle, why=proposed.why), proposed.picks, proposed)

    def _used_up(self) -> bool:
        """Return whether as many epochs were spent as the search may."""
        limit = self.settings.trainings
        return limit is not None and self._spent >= limit * self.budgets[-1]

    def report(self, trial: Trial, outcome: Outcome, attempt: int = 1) -> float | None:
        """Record what a trial reached at a rung; return its score, None where there is none. Twice is once."""
        metrics = outcome.metrics
        budget = self.budgets[outcome.rung]
        score = metrics.get(self.objective.metric)
        if score is None or not math.isfinite(score) or outcome.end in BROKEN:
            score = None
        if outcome.rung in self._reached[trial.number]:
            return score
        self._ledger.write("rung", trial=trial.number, rung=outcome.rung, budget=budget, metrics=metrics,
                           curve=outcome.curve, epochs=outcome.epochs, seconds=round(outcome.seconds, 4),
                           cpu=round(outcome.cpu, 4), micro_batches=outcome.micro_batches, attempt=attempt,
                           hash=trial.bundle.hash, end=outcome.end.value if outcome.end else None)
        self._reached[trial.number][outcome.rung] = score
        self._spent += outcome.epochs
        if trial.label == BASELINE and outcome.end is End.FINISHED:
            self._baseline = metrics
        if score is not None:
            self._chooser.report(trial.number, budget, score)
        self._tell(lambda listener: listener.reached(trial, outcome, budget, score))
        return score

    def verdict(self, trial: Trial, outcome: Outcome, score: float | None) -> End | None:
        """Return why a trial ends after an outcome that was reported, None if it goes on."""
        if outcome.end:
            return outcome.end
        kept = score is not None and self._keeps(trial, outcome.rung, score)
        return None if kept or trial.protected else End.STOPPED

    def _keeps(self, trial: Trial, rung: int, score: float) -> bool:
        """Return what the rule says that stops trials: the model's where there is one, else halving."""
        halved = self._rule.keeps(rung, self.gain(score), self.waits(trial.number, rung))
        if isinstance(self._chooser, BayesianSampler):
            return self._chooser.keeps(trial.number, self.budgets[rung])
        return halved

    def is_new_best(self, trial: Trial, outcome: Outcome) -> bool:
        """Return whether the outcome makes its trial the new champion, so that its weights are wanted."""
        score = outcome.metrics.get(self.objective.metric)
        if outcome.end is not End.FINISHED or score is None or not math.isfinite(score):
            return False
        return self._beats(score, outcome.metrics)

    def set_best(self, trial: Trial, outcome: Outcome, weights: bytes) -> None:
        """Keep a new champion, weights first; the ledger has what it reached on disk by then."""
        self._ledger.sync()
        self.champion = Champion(trial, outcome.metrics[self.objective.metric], outcome.metrics, weights)
        self._keep(self.champion)

    def finish(self, trial: Trial, end: End, detail: str = "") -> None:
        """Record why a trial ended."""
        score = self._score(trial.number)
        self._ledger.write("end", trial=trial.number, reason=end.value, score=score, detail=detail,
                           hash=trial.bundle.hash, seed=trial.bundle.seed)
        del self._trials[trial.number]
        self._chooser.tell(trial.number, score, end is End.FINISHED)
        self._failed += end is End.FAILED
        ended = replace(trial, reason=last_line(detail))
        self._tell(lambda listener: listener.ended(ended, end, score))

    def records(self) -> list[TrialRecord]:
        """Return every trial, those of earlier sittings included."""
        return records(self._ledger.lines)

    @property
    def failure(self) -> str:
        """Why trials failed, where all that ended did for one reason and the baseline is among them; else nothing."""
        ended = [record for record in self.records() if record.end is not None]
        scored = any(score is not None for rungs in self._reached.values() for score in rungs.values())
        reasons = {_NUMBERS.sub("#", record.reason) for record in ended}
        alike = len(reasons) == 1 and all(record.end == End.FAILED.value for record in ended)
        plain = any(record.is_baseline for record in ended)
        return ended[0].reason if alike and plain and not scored else ""

    def _begin(self, trial: Trial, picks: Picks | None, proposed: Proposal | None = None) -> Trial:
        self._trials[trial.number] = trial
        self._reached.setdefault(trial.number, {})
        self._ledger.write("trial", trial=trial.number, label=trial.label, bundle=trial.bundle.document(),
                           hash=trial.bundle.hash, seed=trial.bundle.seed, picks=picks, **_reasons(proposed))
        self._tell(lambda listener: listener.started(trial))
        return trial

    def _tell(self, *news: Callable[[Listener], None]) -> None:
        """Let the listeners hear of what was written once it is on disk: now, or at the end of what goes together."""
        self._untold += news
        if self._together:
            return
        untold = self._untold
        self._untold = []
        self._ledger.sync()
        for tell in untold:
            for listener in self._listeners:
                tell(listener)

    def _unwritten(self, record: TrialRecord, halved: bool) -> End | None:
        """Return why a trial ended at its last rung, where the line that says so is missing; None where it goes on."""
        if record.broken:
            return End(record.rungs[-1]["end"])
        if not record.rungs or len(record.rungs) == len(self.budgets) or self._trials[record.number].protected:
            return None
        line = record.rungs[-1]
        last = self._ledger.lines[-1]
        if not isinstance(self._chooser, BayesianSampler):
            return None if halved else End.STOPPED
        if line["seq"] != last["seq"]:      # what came after was written by a search that had decided to go on with it
            return None
        return None if self._chooser.keeps(record.number, line["budget"]) else End.STOPPED

    def _beats(self, score: float, metrics: dict[str, float]) -> bool:
        """Return whether a trial trained to the end is better than the champion and keeps what is to be kept."""
        better = self.champion is None or self.gain(score) > self.gain(self.champion.score)
        return better and not self.objective.lost(metrics, self._baseline)

    def _score(self, number: int) -> float | None:
        reached = self._reached[number]
        return reached[max(reached)] if reached else None

    def _recall(self) -> None:
        """Take up what the ledger holds: finished trials teach the sampler, the others wait to be trained."""
        past = records(self._ledger.lines)
        last = len(self.budgets) - 1
        self._spent = sum(record.epochs for record in past)
        for record in past:
            self._trials[record.number] = Trial(record.number, record.label, bundle_from(record.bundle),
                                                min(len(record.rungs), last))
            self._reached[record.number] = {line["rung"]: line["metrics"].get(self.objective.metric)
                                            for line in record.rungs}
            if record.broken:
                self._reached[record.number][record.rungs[-1]["rung"]] = None
        kept = {number: self._rule.keeps(rung, score, self.waits(number, rung))
                for number, rung, score in self.recorded()}
        model = self._chooser if isinstance(self._chooser, BayesianSampler) else None
        if model:   # which decides who goes on
            model.replay(past, self.objective.metric)
        for record in past:
            if record.end is None and (end := self._unwritten(record, kept.get(record.number, False))):
                score = record.score(self.objective.metric)
                self._ledger.append("end", trial=record.number, reason=end.value, score=score, detail="",
                                    hash=record.hash, seed=self._trials[record.number].bundle.seed)
                if model:
                    model.tell(record.number, score, False)
        past = records(self._ledger.lines)
        if not model:
            self._chooser.replay(past, self.objective.metric)
        self._waiting = [record for record in past if record.end is None]
        scored = [(score, record) for record in past if record.end == End.FINISHED.value
                  and (score := record.score(self.objective.metric)) is not None]
        scored.sort(key=lambda pair: int(pair[1].rungs[-1]["seq"]))  # of equals, the first to arrive was crowned
        for score, record in scored:
            metrics = record.rungs[-1]["metrics"]
            self._baseline = metrics if record.is_baseline else self._baseline
            if self._beats(score, metrics):
                self.champion = Champion(self._trials[record.number], score, metrics)
        self._trials = {record.number: self._trials[record.number] for record in self._waiting}


def _reasons(proposed: Proposal | None) -> dict[str, Any]:
    """Return what a ledger holds of why a trial is tried."""
    if proposed is None or not proposed.why:
        return {}
    return {"why": proposed.why, "step": proposed.kind, "promise": proposed.promise}

"""Memory: what Optuna remembers of a long search, so that a decision costs the same after ten thousand trials."""
from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Container, Sequence
from copy import deepcopy as copied
from itertools import islice
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

BEST = 32
FINISHED = tuple(state for state in TrialState if state.is_finished())
RECENT = 96     # finished trials kept; what TPE takes for good is at most a tenth of all


class BoundedStorage(InMemoryStorage):
    """Shows a sampler the trials that are open, the best and the most recent; the ledger knows the others.

    Args:
        maximize: Whether a larger value is better.

    Cost: of a decision, that after `BEST + RECENT` trials, however many there were; memory grows by an empty record.
    """

    def __init__(self, maximize: bool):
        super().__init__()
        self._sign = -1.0 if maximize else 1.0
        self._open: set[int] = set()
        self._best: list[tuple[tuple[float, float, float], int]] = []
        self._recent: deque[int] = deque(maxlen=RECENT)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Take in a trial, finished or not."""
        trial = super().create_new_trial(study_id, template_trial)
        self._open.add(trial)
        self._settle(trial)
        return trial

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Note a trial's state; a finished one may push out another."""
        done = super().set_trial_state_values(trial_id, state, values)
        self._settle(trial_id)
        return done

    def get_all_trials(self, study_id: int, deepcopy: bool = True,
                       states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials that are remembered, in their order."""
        kept = {*self._open}
        if states is None or any(state in states for state in FINISHED):    # else Optuna looks for what is enqueued
            kept.update(self._recent, (trial for _, trial in self._best))
        trials = [trial for trial in map(self.get_trial, sorted(kept)) if states is None or trial.state in states]
        return copied(trials) if deepcopy else trials

    def _settle(self, trial_id: int) -> None:
        trial: Any = self.get_trial(trial_id)
        if not trial.state.is_finished() or trial_id not in self._open:
            return
        self._open.discard(trial_id)
        if trial.state is TrialState.FAIL:      # withdrawn: it never was a trial of the search
            self._forget(trial)
            return
        leaving = {*islice(self._recent, 1)} if len(self._recent) == RECENT else set()
        self._recent.append(trial_id)
        bisect.insort(self._best, (self._rank(trial), trial_id))
        leaving |= {trial for _, trial in self._best[BEST:]}
        del self._best[BEST:]
        for forgotten in leaving.difference(self._recent, (trial for _, trial in self._best)):
            self._forget(self.get_trial(forgotten))

    @staticmethod
    def _forget(trial: FrozenTrial) -> None:
        """Drop what was drawn and scored: nobody is shown it again, and thousands of trials have much of it."""
        trial.params = {}
        trial.distributions = {}
        trial.intermediate_values = {}
        trial.system_attrs = {}

    def _rank(self, trial: FrozenTrial) -> tuple[float, float, float]:
        """Return what sorts trials as TPE does: finished ones by value, then stopped ones by how far they came."""
        if trial.state is TrialState.COMPLETE and trial.value is not None:
            return 0.0, 0.0, self._sign * trial.value
        last = trial.last_step
        return 1.0, -float(last or 0), math.inf if last is None else self._sign * trial.intermediate_values[last]

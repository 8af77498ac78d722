"""The Ray engine: Ray Tune schedules the trials over one machine or a cluster."""
from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from ...core.dataset import Dataset
from ...core.reporting import End
from ...errors import AutotricksError, EngineError, ResourceError
from ...runs.trial import Outcome, Trial
from ...space.packing import Carried
from ..search import Search
from .engine import RETRIES
from .ray_nodes import apart, holds, nodes, require_seen
from .ray_trainable import OUTCOME, RayTrainable
from .rung_training import arrays

LOST = "its process failed; see the ray folder"
RAISED = "ray::"    # in what Ray has of a trial that raised something, not of one whose process died


class RaySearcher(Searcher):
    """Hands the search's proposals to Ray Tune under Ray's trial ids."""

    def __init__(self, search: Search):
        super().__init__()
        self._search = search
        self.trials: dict[str, Trial] = {}      # that have not ended
        self.reasons: dict[str, str] = {}       # tracebacks of what was raised

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Accept whatever Ray Tune was told; the search knows its objective."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial as a configuration; its bundle is one string, for Ray copies and flattens the rest."""
        trial = self._search.propose()
        if trial is None:
            return Searcher.FINISHED
        self.trials[trial_id] = trial
        return {"number": trial.number, "bundle": json.dumps(trial.bundle.document()), "first": trial.first}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Record trials that failed for good; the others were recorded when their last result came."""
        if trial_id in self.trials:
            self._search.finish(self.trials.pop(trial_id), End.FAILED, self.reasons.pop(trial_id, LOST))

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune pickles its searcher for a restore that is never done: the ledger is the search's memory."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger is the search's memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: the ledger is the search's memory."""


class RungScheduler(FIFOScheduler):
    """Asks the search whether a trial goes on, after the ledger has its result."""

    def __init__(self, search: Search, chooser: RaySearcher):
        super().__init__()  # type: ignore[no-untyped-call]
        self._search = search
        self._chooser = chooser

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Note what a trial raised, which the searcher is not told."""
        with suppress(OSError):     # where Ray Tune writes it before it copies it into the run's folder
            text = Path(trial.error_file).read_text("utf-8", "replace")
            if RAISED in text:
                self._chooser.reasons[trial.trial_id] = text

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune pickles its scheduler for a restore that is never done: the ledger is the search's memory."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record the result, then decide."""
        ours = self._chooser.trials[trial.trial_id]
        parts = dict(result[OUTCOME][0])
        weights = parts.pop("weights")
        outcome = Outcome(**{**parts, "end": End(parts["end"]) if parts["end"] else None})
        try:
            set_best = cast(bytes, ray.get(weights)) if self._search.is_new_best(ours, outcome) else None
        except ray.exceptions.RayError:     # lost with their node: Ray Tune will notice, and the rung is trained again
            return str(TrialScheduler.CONTINUE)
        with self._search.together():
            score = self._search.report(ours, outcome, trial.num_failures + 1)
            trial.config["first"] = outcome.rung + 1  # where a retry after a lost process begins
            end = self._search.verdict(ours, outcome, score)
            if end is None:
                return str(TrialScheduler.CONTINUE)
            if set_best is not None:
                self._search.set_best(ours, outcome, set_best)
            del self._chooser.trials[trial.trial_id]
            self._search.finish(ours, end)
        return str(TrialScheduler.STOP)


def _dirname(trial: Any) -> str:
    return f"{trial.config['number']:05d}-{trial.trial_id}"


def slots(wanted: dict[str, float], parallel: int | None) -> int:
    """Return how many trials the connected Ray holds at a time.

    Raises:
        ResourceError: When no node can hold one trial.
    """
    count = sum(holds(node, wanted) for node in nodes())
    if not count:
        had = [node["Resources"] for node in nodes()]
        raise ResourceError(f"resources: no node of the Ray cluster has {wanted['cpu']:g} CPUs and {wanted['gpu']:g} "
                            f"GPUs for one trial; the nodes have {had}. Lower resources.")
    return min(count, parallel or count)


def run(search: Search, dataset: Dataset, folder: Path, trust: bool = False) -> int:
    """Run a search to its end on the Ray that is connected; return how many trials ran at a time.

    As many trials are handed out as there is room for and no more, so that each is chosen knowing all that ended.

    Raises:
        ResourceError: When no node can hold one trial.
        DataError: When a node that can does not see the files that images are read from.
        EngineError: When Ray gives up; what had finished is in the ledger.
    """
    wanted = {"cpu": search.resources.cpus, "gpu": search.resources.gpus}
    room = slots(wanted, search.settings.parallel)
    require_seen(dataset, wanted)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(room)
    class_cache.ENV_VARS_TO_PROPAGATE -= {name for name in os.environ if name.startswith("AWS_")}   # Ray logs them
    chooser = RaySearcher(search)
    trainable = tune.with_parameters(RayTrainable, shared=arrays(dataset), course=search.course(trust),
                                     carried=search.carried() if apart() else Carried(),
                                     threads=max(1, int(search.resources.cpus)), gpus=search.resources.gpus)
    tuner = tune.Tuner(
        tune.with_resources(trainable, wanted),
        tune_config=tune.TuneConfig(search_alg=chooser, scheduler=RungScheduler(search, chooser), reuse_actors=True,
                                    num_samples=search.settings.trials, max_concurrent_trials=room,
                                    trial_dirname_creator=_dirname),
        run_config=tune.RunConfig(name="ray", storage_path=str(folder.resolve()), verbose=0,
                                  checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                                  failure_config=tune.FailureConfig(max_failures=RETRIES)))
    try:
        tuner.fit()
    except (ray.exceptions.RayError, tune.error.TuneError) as error:
        first: BaseException = error
        while first.__context__ and not isinstance(first, AutotricksError):
            first = first.__context__   # Ray Tune raises the text of what our scheduler raised, for a full disk say
        if isinstance(first, (OSError, AutotricksError)):
            raise first from None
        raise EngineError(f"Ray Tune stopped: {str(error).strip().splitlines()[-1]}") from error
    return room

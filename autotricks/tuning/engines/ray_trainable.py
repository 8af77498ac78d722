"""Climber: the actor in which Ray Tune trains trials, one after another, keeping torch and the data loaded."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ray
from ray.tune import Trainable

from ...core.bundle import Bundle
from ...runs.trial import RungPlan
from ...space import paths
from ...space.packing import Carried
from ...tricks.catalog import bundle_from
from .device_team import DeviceGroup, devices
from .rung_training import watch

OUTCOME = "outcome"


class RayTrainable(Trainable):
    """Each `step` reaches one rung; `reset_config` takes the next trial into the same process."""

    _rung: int
    _bundle: Bundle | None

    def setup(self, config: dict[str, Any], shared: Any = None, course: RungPlan | None = None,
              carried: Carried | None = None, threads: int = 1, gpus: float = 0) -> None:
        """Load the data and what tricks name once, and begin the first trial."""
        assert shared is not None and course is not None and carried is not None
        home = Path(self.logdir) / "carried"    # goes with Ray's session
        carried.unpack(home)
        self._here = carried.below(home)
        self._course = course
        self._team = DeviceGroup(shared, devices(gpus), threads, watch)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial; nothing of the last one is left."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train up to the next rung; the scheduler ends the trial, for Ray does not ask it where `done` is set."""
        outcome = self._team.reach(self._course, self._bundle, self._rung)
        self._rung += 1
        self._bundle = None     # from here on the climb at hand
        weights = ray.put(outcome.weights) if outcome.weights is not None else None
        fields = {name: getattr(outcome, name) for name in ("rung", "metrics", "curve", "epochs", "seconds", "cpu")}
        return {OUTCOME: [{**fields, "end": outcome.end.value if outcome.end else None, "weights": weights}]}

    def cleanup(self) -> None:
        """End the processes beside this one."""
        self._team.close()

    def _begin(self, config: dict[str, Any]) -> None:
        self._rung = config["first"]
        self._bundle = paths.moved_bundle(bundle_from(json.loads(config["bundle"])), self._here)

"""The Ray engine: trials by Ray Tune, trainings after the search as Ray tasks, on one machine or a cluster."""
from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import ray

from ...core.dataset import Dataset
from ...errors import EngineError
from ...runs.trial import Outcome, Training
from ...space import paths
from ...space.packing import Carried, of_uses
from ..search import Search
from . import ray_tune
from .device_team import DeviceGroup, devices
from .engine import RETRIES, TrainingOptions
from .ray_nodes import apart
from .rung_training import arrays, watch

Result = TypeVar("Result")


class RayEngine:
    """Trains on the Ray that is connected; see `autotricks.tuning.engines.engine.Engine`.

    Args:
        options: With what.
        elsewhere: Whether trials run on other machines than this one.
    """

    def __init__(self, options: TrainingOptions, elsewhere: bool = False):
        self._options = options
        self._elsewhere = elsewhere

    def run(self, search: Search, dataset: Dataset, folder: Path, slots: int) -> int:
        """Run a search by Ray Tune; how many trials run at a time is what the nodes have room for."""
        return ray_tune.run(search, dataset, folder, self._options.trust)

    def retrain(self, trainings: Sequence[Training], dataset: Dataset,
                slots: int) -> Iterator[tuple[Training, Outcome]]:
        """Yield each training with what it reached; how many go on at a time is up to the nodes."""
        options = self._options
        taken = of_uses(use for training in trainings for use in training.bundle.uses) if apart() else Carried()
        data = ray.put(arrays(dataset))
        files = ray.put(taken)

        def trained(parts: dict[str, Any], carried: Carried, training: Training) -> Outcome:
            with (tempfile.TemporaryDirectory() as home,
                  closing(DeviceGroup(parts, devices(options.gpus), options.threads, watch)) as group):
                carried.unpack(Path(home))
                moved = paths.moved_bundle(training.bundle, carried.below(Path(home)))
                return group.reach(options.whole(training), moved, 0)

        task = ray.remote(trained).options(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=RETRIES)
        waiting = {task.remote(data, files, training): training for training in trainings}
        while waiting:
            for future in ray.wait(list(waiting))[0]:
                training = waiting.pop(future)
                try:
                    yield training, ray.get(future)
                except ray.exceptions.RayError as error:
                    raise EngineError(f"training {training.bundle}: {str(error).splitlines()[0]}") from error

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function on a node of the cluster, or here where Ray runs on this machine alone."""
        if not self._elsewhere:
            return function(*arguments)
        task = ray.remote(function).options(num_cpus=self._options.cpus, num_gpus=self._options.gpus)
        result: Result = ray.get(task.remote(*arguments))
        return result

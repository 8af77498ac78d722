"""Retrain: whole trainings outside the search, each of its own seed, on the engine that the space names."""
from __future__ import annotations

import itertools
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.bundle import Bundle
from ...core.dataset import Dataset
from ...core.reporting import End
from ...errors import EngineError, RankError
from ...runs.trial import Outcome, RungPlan
from ...space import paths
from ...space.document import SpaceDocument
from ...space.packing import Carried, of_uses
from ...system.workers import follow_parent
from .device_team import DeviceGroup, devices
from .rung_training import arrays, watch
from .worker_context import worker_context

RETRIES = 2
_team: DeviceGroup | None = None       # of a worker process


@dataclass(frozen=True)
class RetrainOptions:
    """With what, and on what, trainings run.

    Args:
        engine: `local` or `ray`, which is connected.
        cpus: Of one training.
        gpus: Of one training.
        workers: Trainings at a time, of the local engine.
        trust: Whether a model of the form `my.module:function` may be imported.
        patience: Seconds within which an epoch must end.
    """

    engine: str
    cpus: float
    gpus: float
    workers: int
    trust: bool
    patience: float

    @classmethod
    def of(cls, document: SpaceDocument, workers: int, trust: bool) -> RetrainOptions:
        """Return what a space gives a training."""
        return cls(document.search.engine, document.resources.cpus, document.resources.gpus, workers, trust,
                   document.search.patience)

    @property
    def threads(self) -> int:
        """Of one training."""
        return max(1, int(self.cpus))

    def course(self, epochs: int) -> RungPlan:
        """Return one rung at the end."""
        return RungPlan((epochs,), device="cuda" if self.gpus else "cpu", trust=self.trust, patience=self.patience)


def retrain(bundles: Sequence[Bundle], dataset: Dataset, options: RetrainOptions) -> Iterator[tuple[Bundle, Outcome]]:
    """Yield each bundle with what its whole training reached, as it is done; test does not travel.

    Raises:
        EngineError: When a training's process died again and again, for want of memory or of patience.
    """
    yield from (_on_ray if options.engine == "ray" else _locally)(bundles, arrays(dataset), options)


def recorded(bundle: Bundle, outcome: Outcome) -> dict[str, Any]:
    """Return what a ledger holds of a training; one that broke down has no figures."""
    return {"hash": bundle.hash, "seed": bundle.seed, "bundle": bundle.document(),
            "metrics": outcome.metrics if outcome.end is End.FINISHED else {}, "curve": outcome.curve,
            "epochs": outcome.epochs, "end": outcome.end.value if outcome.end else None,
            "seconds": round(outcome.seconds, 3)}


def _locally(bundles: Sequence[Bundle], shared: dict[str, Any],
             options: RetrainOptions) -> Iterator[tuple[Bundle, Outcome]]:
    left = list(bundles)
    for attempt in itertools.count():
        try:
            context: Any = worker_context(options.threads)
            free = context.SimpleQueue()
            size = max(1, min(options.workers, len(left)))
            for place in range(size):
                free.put(place)
            with ProcessPoolExecutor(size, context, _join_in, (shared, options, free)) as pool, _ended():
                waiting = {pool.submit(_train, bundle, options): bundle for bundle in left}
                while waiting:
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        bundle = waiting.pop(future)
                        outcome = future.result()
                        left.remove(bundle)
                        yield bundle, outcome
            return
        except (BrokenProcessPool, RankError) as error:
            if attempt == RETRIES:
                why = (f"{error}." if isinstance(error, RankError) else "killed, for want of memory if nobody did it, "
                       f"or no epoch ended within search.patience, {options.patience:g} s.")
                raise EngineError(f"training {left[0]}: its process died {attempt + 1} times: {why}") from error


def _on_ray(bundles: Sequence[Bundle], shared: dict[str, Any],
            options: RetrainOptions) -> Iterator[tuple[Bundle, Outcome]]:
    import ray

    from .ray_nodes import apart

    taken = of_uses(use for bundle in bundles for use in bundle.uses) if apart() else Carried()
    data, files = ray.put(shared), ray.put(taken)

    def trained(parts: dict[str, Any], carried: Carried, bundle: Bundle) -> Outcome:
        with (tempfile.TemporaryDirectory() as home,
              closing(DeviceGroup(parts, devices(options.gpus), options.threads, watch)) as team):
            carried.unpack(Path(home))
            return _reached(team, paths.moved_bundle(bundle, carried.below(Path(home))), options)

    task = ray.remote(trained).options(num_cpus=options.cpus, num_gpus=options.gpus, max_retries=RETRIES)
    waiting = {task.remote(data, files, bundle): bundle for bundle in bundles}
    while waiting:
        for future in ray.wait(list(waiting))[0]:
            bundle = waiting.pop(future)
            try:
                yield bundle, ray.get(future)
            except ray.exceptions.RayError as error:
                raise EngineError(f"training {bundle}: {str(error).splitlines()[0]}") from error


@contextmanager
def _ended() -> Iterator[None]:
    """End the pool's processes where something goes wrong: a pool would wait for what they are training."""
    before = multiprocessing.active_children()
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in before:
                process.kill()
        raise


def _join_in(shared: dict[str, Any], options: RetrainOptions, free: Any) -> None:
    """Make a worker process ready to train on this data, on the devices of the next place that is free."""
    global _team
    follow_parent()
    _team = DeviceGroup(shared, devices(options.gpus, free.get()), options.threads, watch)


def _train(bundle: Bundle, options: RetrainOptions) -> Outcome:
    assert _team is not None
    return _reached(_team, bundle, options)


def _reached(team: DeviceGroup, bundle: Bundle, options: RetrainOptions) -> Outcome:
    return team.reach(options.course(bundle.epochs), bundle, 0)

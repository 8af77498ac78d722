"""Retrain: whole trainings outside the search, each of its own seed, on the engine that the space names."""
from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from typing import Any

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.report import End
from ..errors import EngineError, RankError
from ..processes import follow_parent, prepare
from .climb import Course, Outcome, arrays
from .team import Team, devices

RETRIES = 2
_team: Team | None = None       # of a worker process


def retrain(bundles: Sequence[Bundle], dataset: Dataset, needs: dict[str, float], workers: int,
            engine: str, trust: bool = False) -> Iterator[tuple[Bundle, Outcome]]:
    """Yield each bundle with what its whole training reached, as it is done.

    Args:
        bundles: What to train, to the end.
        dataset: Train and validation; test does not travel.
        needs: Cores (`cpu`) and GPUs (`gpu`) of one training.
        workers: Trainings at a time, of the local engine.
        engine: `local` or `ray`, which is connected.
        trust: Whether a model of the form `my.module:function` may be imported.

    Raises:
        EngineError: When a training's process died again and again.
    """
    run: Callable[..., Iterator[tuple[Bundle, Outcome]]] = _on_ray if engine == "ray" else _locally
    yield from run(bundles, arrays(dataset), needs, workers, trust)


def recorded(bundle: Bundle, outcome: Outcome) -> dict[str, Any]:
    """Return what a ledger holds of a training; one that broke down has no figures."""
    return {"hash": bundle.hash, "seed": bundle.seed, "bundle": bundle.document(),
            "metrics": outcome.metrics if outcome.end is End.FINISHED else {}, "curve": outcome.curve,
            "epochs": outcome.epochs, "end": outcome.end.value if outcome.end else None,
            "seconds": round(outcome.seconds, 3)}


def _locally(bundles: Sequence[Bundle], shared: dict[str, Any], needs: dict[str, float], workers: int,
             trust: bool) -> Iterator[tuple[Bundle, Outcome]]:
    threads, left = _threads(needs), list(bundles)
    for attempt in itertools.count():
        try:
            context: Any = prepare(threads)
            places, size = context.SimpleQueue(), max(1, min(workers, len(left)))
            for place in range(size):
                places.put(place)
            with ProcessPoolExecutor(size, context, _join_in, (shared, needs, places)) as pool, _ended():
                waiting = {pool.submit(_train, bundle, trust): bundle for bundle in left}
                while waiting:
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        bundle = waiting.pop(future)
                        outcome = future.result()
                        left.remove(bundle)
                        yield bundle, outcome
            return
        except (BrokenProcessPool, RankError) as error:
            if attempt == RETRIES:
                said = f" {error}." if isinstance(error, RankError) else ""
                raise EngineError(f"training {left[0]}: its process died {attempt + 1} times.{said}") from error


def _on_ray(bundles: Sequence[Bundle], shared: dict[str, Any], needs: dict[str, float], workers: int,
            trust: bool) -> Iterator[tuple[Bundle, Outcome]]:
    import ray

    data = ray.put(shared)

    def trained(parts: dict[str, Any], bundle: Bundle) -> Outcome:
        with closing(Team(parts, devices(needs["gpu"]), _threads(needs))) as team:
            return _reached(team, bundle, trust)

    task = ray.remote(trained).options(num_cpus=needs["cpu"], num_gpus=needs["gpu"], max_retries=RETRIES)
    waiting = {task.remote(data, bundle): bundle for bundle in bundles}
    while waiting:
        for future in ray.wait(list(waiting))[0]:
            bundle = waiting.pop(future)
            try:
                yield bundle, ray.get(future)
            except ray.exceptions.RayError as error:
                raise EngineError(f"training {bundle}: {str(error).splitlines()[0]}") from error


def _threads(needs: dict[str, float]) -> int:
    return max(1, int(needs["cpu"]))


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


def _join_in(shared: dict[str, Any], needs: dict[str, float], places: Any) -> None:
    """Make a worker process ready to train on this data, on the devices of the next place that is free."""
    global _team
    follow_parent()
    _team = Team(shared, devices(needs["gpu"], places.get()), _threads(needs))


def _train(bundle: Bundle, trust: bool) -> Outcome:
    assert _team is not None
    return _reached(_team, bundle, trust)


def _reached(team: Team, bundle: Bundle, trust: bool) -> Outcome:
    return team.reach(Course((bundle.epochs,), trust=trust), bundle, 0)

"""Retrain: whole trainings outside the search, each of its own seed, on the engine that the space names."""
from __future__ import annotations

import itertools
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.bundle import Bundle
from ..core.dataset import Dataset
from ..core.report import End
from ..errors import EngineError
from ..processes import follow_parent, prepare
from ..space import places
from ..space.carried import Carried, of_uses
from .climb import Climb, Course, Outcome, arrays, from_arrays, warm_up

RETRIES = 2
_held: Dataset | None = None    # of a worker process: what it trains on


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
    threads, left = max(1, int(needs["cpu"])), list(bundles)
    for attempt in itertools.count():
        try:
            with ProcessPoolExecutor(max(1, min(workers, len(left))), prepare(threads), _join_in,
                                     (shared, threads)) as pool, _ended():
                waiting = {pool.submit(_train, bundle, _device(needs), trust): bundle for bundle in left}
                while waiting:
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        bundle = waiting.pop(future)
                        outcome = future.result()
                        left.remove(bundle)
                        yield bundle, outcome
            return
        except BrokenProcessPool as error:
            if attempt == RETRIES:
                raise EngineError(f"training {left[0]}: its process died {attempt + 1} times.") from error


def _on_ray(bundles: Sequence[Bundle], shared: dict[str, Any], needs: dict[str, float], workers: int,
            trust: bool) -> Iterator[tuple[Bundle, Outcome]]:
    import ray

    from .nodes import apart

    taken = of_uses(use for bundle in bundles for use in bundle.uses) if apart() else Carried()
    data, files = ray.put(shared), ray.put(taken)

    def trained(parts: dict[str, Any], carried: Carried, bundle: Bundle) -> Outcome:
        _hold(parts, max(1, int(needs["cpu"])))
        with tempfile.TemporaryDirectory() as home:
            carried.unpack(Path(home))
            return _train(places.moved_bundle(bundle, carried.below(Path(home))), _device(needs), trust)

    task = ray.remote(trained).options(num_cpus=needs["cpu"], num_gpus=needs["gpu"], max_retries=RETRIES)
    waiting = {task.remote(data, files, bundle): bundle for bundle in bundles}
    while waiting:
        for future in ray.wait(list(waiting))[0]:
            bundle = waiting.pop(future)
            try:
                yield bundle, ray.get(future)
            except ray.exceptions.RayError as error:
                raise EngineError(f"training {bundle}: {str(error).splitlines()[0]}") from error


def _device(needs: dict[str, float]) -> str:
    return "cuda" if needs["gpu"] else "cpu"


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


def _join_in(shared: dict[str, Any], threads: int) -> None:
    follow_parent()
    _hold(shared, threads)


def _hold(shared: dict[str, Any], threads: int) -> None:
    """Make this process ready to train on this data."""
    global _held
    warm_up(threads)
    _held = from_arrays(shared)


def _train(bundle: Bundle, device: str, trust: bool) -> Outcome:
    assert _held is not None
    return Climb(bundle, Course((bundle.epochs,), device=device, trust=trust), _held).reach(0)

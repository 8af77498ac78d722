"""Which engine carries a search out: Ray Tune, or this machine's own worker processes."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ...space.document import SpaceDocument
from .engine import Engine, TrainingOptions
from .local import LocalEngine
from .worker_context import worker_context


def engine_of(document: SpaceDocument, address: str | None = None) -> str:
    """Return which engine a space takes here: `ray` or `local`.

    Where it says `auto`, that is Ray for a cluster and for several GPUs, which it shares out; else processes of this
    machine, which begin sooner and decide alike.

    Args:
        document: The space.
        address: A Ray cluster; None is this machine.
    """
    if document.search.engine != "auto":
        return document.search.engine
    if address:
        return "ray"
    return "ray" if document.resources.gpus and _gpus() > 1 else "local"


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def start_engine(document: SpaceDocument, address: str | None = None, trust: bool = False) -> Engine:
    """Start the engine that a space takes here; what takes long is imported meanwhile.

    Args:
        document: The space: its engine, and what a trial needs.
        address: A Ray cluster; None starts Ray on this machine.
        trust: Whether a model of the form `my.module:function` may be imported.
    """
    options = TrainingOptions.of(document, trust)
    if engine_of(document, address) == "local":
        worker_context(options.threads)     # its server begins to import
        return LocalEngine(options)
    from .ray_cluster import connect

    with ThreadPoolExecutor(1, "import") as beside:
        kind = beside.submit(_ray_engine)
        connect(address)
        return kind.result()(options, elsewhere=bool(address))


def _ray_engine() -> Callable[..., Engine]:
    from .ray_engine import RayEngine

    return RayEngine

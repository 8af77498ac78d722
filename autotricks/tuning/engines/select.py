"""Which engine a space names: Ray Tune, or this machine's own worker processes."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ...space.document import SpaceDocument
from .engine import Engine, TrainingOptions
from .local import LocalEngine
from .worker_context import worker_context


def start_engine(document: SpaceDocument, address: str | None = None, trust: bool = False) -> Engine:
    """Start the engine that a space names; what takes long is imported meanwhile.

    Args:
        document: The space: its engine, and what a trial needs.
        address: A Ray cluster; None starts Ray on this machine.
        trust: Whether a model of the form `my.module:function` may be imported.
    """
    options = TrainingOptions.of(document, trust)
    if document.search.engine == "local":
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

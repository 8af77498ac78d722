"""Engines: what runs a search, Ray Tune or this machine's own worker processes."""
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...core.dataset import Dataset
from ...space.document import SpaceDocument
from ..search import Search
from .worker_context import worker_context

Engine = Callable[[Search, Dataset, Path, int], int]    # runs a search and says how many trials ran at a time


def started(document: SpaceDocument, address: str | None, beside: ThreadPoolExecutor, trust: bool) -> Engine:
    """Start the engine that a space names, importing `beside` what takes long, and return what runs a search on it.

    Args:
        document: The space: its engine, and what a trial needs.
        address: A Ray cluster; None starts Ray on this machine.
        beside: Threads to import in.
        trust: Whether a model of the form `my.module:function` may be imported.
    """
    if document.search.engine == "local":
        from . import local

        worker_context(max(1, int(document.resources.cpus)))
        return lambda search, dataset, folder, slots: local.run(search, dataset, slots, trust)
    from .ray_cluster import connect

    imported = beside.submit(_ray_tune)
    connect(address)
    run = imported.result()
    return lambda search, dataset, folder, slots: run(search, dataset, folder, trust)


def _ray_tune() -> Callable[[Search, Dataset, Path, bool], int]:
    from .ray_tune import run

    return run


def placed(document: SpaceDocument, address: str | None) -> Callable[..., Any]:
    """Return what calls a function with its arguments where a trial would run: here, or on a node of the cluster."""
    if not address or document.search.engine == "local":
        return lambda function, *arguments: function(*arguments)
    import ray

    wanted = document.resources
    return lambda function, *arguments: ray.get(ray.remote(function).options(
        num_cpus=wanted.cpus, num_gpus=wanted.gpus).remote(*arguments))

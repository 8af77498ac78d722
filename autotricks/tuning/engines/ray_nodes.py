"""Nodes: the machines of a Ray cluster, what each can hold and what it sees."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ...core.dataset import Dataset
from ...errors import DataError


def nodes() -> list[dict[str, Any]]:
    """Return the nodes that are up, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def apart() -> bool:
    """Return whether there are machines beside this one, which need not see its files."""
    return len(nodes()) > 1


def holds(node: dict[str, Any], wanted: dict[str, float]) -> int:
    """Return how many trials a node holds at a time."""
    has = node["Resources"]
    return min(int(has.get(name.upper(), 0) / amount + 1e-9) for name, amount in wanted.items() if amount)


def require_seen(dataset: Dataset, wanted: dict[str, float]) -> None:
    """Refuse images that stay in their files where a node that trains does not see these. What is in memory travels.

    Raises:
        DataError: With a line for each such node.
    """
    paths = [path for split in (dataset.train, dataset.validation) for path in getattr(split.images, "paths", [])[:1]]
    training = [node for node in nodes() if holds(node, wanted)] if paths else []
    answers = ray.get([ray.remote(_missing).options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(
        node["NodeID"], soft=False)).remote(paths) for node in training])
    lines = [f"data.source: the node {_name(node)} does not see {missing[0]}. Images that are streamed must lie at the "
             "same path on every node; those that fit in memory are sent there."
             for node, missing in zip(training, answers, strict=True) if missing]
    if lines:
        raise DataError(lines)


def _missing(paths: list[str]) -> list[str]:
    return [path for path in paths if not Path(path).is_file()]


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {node['NodeID'][:8]})"

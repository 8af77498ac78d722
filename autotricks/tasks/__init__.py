"""Tasks by name: what can be learned from images; and what each figure of theirs means."""
from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..core.objective import TRAINING, Keep, Objective
from ..core.task import Metric, Task, named
from ..errors import DataError
from ..io.did_you_mean import suggest
from .classification import CLASSIFICATION
from .detection import DETECTION
from .multilabel import MULTILABEL

TASKS = MappingProxyType({task.name: task for task in (CLASSIFICATION, MULTILABEL, DETECTION)})


def find(name: str) -> Task:
    """Return the task called `name`.

    Raises:
        DataError: With the nearest name.
    """
    try:
        return TASKS[name]
    except KeyError:
        near = suggest(name, TASKS)
        raise DataError(f"data.task: no task is called {name!r}.{near} There is {', '.join(TASKS)}.") from None


def metric(name: str, task: str = CLASSIFICATION.name) -> Metric:
    """Return what a figure means, such as `val/macro_f1` or `macro_f1`: to a task, or else to any other.

    One that no task has, in runs of other versions, is said in its own words.

    Args:
        name: With or without its split.
        task: Whose figure it is, if it has one of this name.
    """
    bare = re.sub("^(train|val|test)/", "", name)
    first = TASKS.get(task, CLASSIFICATION)
    every = [one for each in (first, *TASKS.values()) for one in each.metrics]
    return named(name, TRAINING) or named(bare, every) or Metric(bare, bare.replace("_", " "))


def objective(section: Mapping[str, Any]) -> Objective:
    """Return what the `objective:` section of a space says, that of a run of an older version too."""
    name = section.get("metric", Objective.metric)
    keep = section.get("keep")
    kept = Keep(keep["metric"], keep["within"], metric(keep["metric"]).maximize) if keep else None
    return Objective(name, (section.get("mode") or metric(name).mode) == "max", kept)

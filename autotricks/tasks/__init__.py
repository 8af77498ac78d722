"""Tasks by name: what can be learned from images."""
from __future__ import annotations

from types import MappingProxyType

from ..core.task import Task
from ..errors import DataError
from ..io.did_you_mean import suggest
from .classification import CLASSIFICATION
from .multilabel import MULTILABEL

TASKS = MappingProxyType({task.name: task for task in (CLASSIFICATION, MULTILABEL)})


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

"""What each mistake costs: a matrix, or a mapping from true class to guess to cost."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import DataError
from ..io.did_you_mean import listed, suggest

COST = "cost"       # what the metric is called
KEY = "objective.costs"
USUAL = 1.0         # of a mistake that a mapping does not name
Costs = tuple[tuple[float, ...], ...]


def problems(costs: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield where, below the costs, and what is wrong with them whatever the classes are."""
    if isinstance(costs, dict):
        for true, row in costs.items():
            if isinstance(row, dict):
                yield from (((true, guess), _refused(value)) for guess, value in row.items() if not _legal(value))
            else:
                yield (true,), f"{row!r} is not a mapping from the class that it is taken for to the cost."
    elif isinstance(costs, list):
        for index, row in enumerate(costs):
            if isinstance(row, list) and len(row) == len(costs):
                yield from (((index, place), _refused(value)) for place, value in enumerate(row) if not _legal(value))
            else:
                yield (index,), (f"{row!r} is not a list of {len(costs)} costs; a matrix has a row for each true class "
                                 "and a column for each that it may be taken for.")
    else:
        yield (), (f"{costs!r} is neither a matrix, with a row for each true class, nor a mapping such as "
                   "{melanoma: {nevus: 10}}.")


def matrix(costs: Any, classes: Sequence[str]) -> Costs:
    """Return the costs of true class (row) by guess (column); what a mapping leaves out is 0 if right, else 1.

    Raises:
        DataError: With a line for each class that is not there, or when a matrix has not as many rows as classes.
    """
    if isinstance(costs, list):
        if len(costs) != len(classes):
            raise DataError(f"{KEY}: has {len(costs)} rows; there are {len(classes)} classes: {listed(classes)}.")
        return tuple(tuple(float(value) for value in row) for row in costs)
    known = set(classes)
    lines = [f"{KEY}.{path}: no class is called {name!r}.{suggest(name, classes)} There is {listed(classes)}."
             for true, row in costs.items()
             for path, name in ((true, true), *((f"{true}.{guess}", guess) for guess in row)) if name not in known]
    if lines:
        raise DataError(lines)
    return tuple(tuple(float(costs.get(true, {}).get(guess, 0.0 if true == guess else USUAL)) for guess in classes)
                 for true in classes)


def _legal(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _refused(value: Any) -> str:
    return f"{value!r} is not allowed; a cost must be a number >= 0."

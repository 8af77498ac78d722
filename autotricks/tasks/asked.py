"""Figures of one class that an objective asks for, such as `average_precision[melanoma]`."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.task import Metric
from ..io.did_you_mean import listed, suggest

Asked = tuple[tuple[str, int], ...]     # name of the metric and number of the class


def of_single_classes(family: Metric, asked: Mapping[str, str], classes: Sequence[str]) -> tuple[Asked, list[str]]:
    """Return which of the metrics asked for are of this family, and a line for each whose class is not there.

    Args:
        family: Of metrics whose names have a class in them.
        asked: Names of metrics, without the split, by the key of the space that asks for each.
        classes: Names of the classes.
    """
    words = {key: (name, family.word(name)) for key, name in asked.items() if family.word(name)}
    unknown = [f"{key}: no class is called {word!r}.{suggest(word, classes)} There is {listed(classes)}."
               for key, (_, word) in words.items() if word not in classes]
    return tuple((name, classes.index(word)) for name, word in words.values() if word in classes), unknown

"""my.module:function: images and labels from the user's own code."""
from __future__ import annotations

import importlib

import numpy as np

from ...errors import DataError
from ..settings import Settings
from .npz import class_names, labels_of
from .raw import Part, Raw, from_arrays, to_bytes


def read(name: str, settings: Settings) -> Raw:
    """Call `function()`, which returns (images, labels) or (images, labels, classes); test and validation are cut.

    Images and labels are as in an npz archive, arrays or CPU tensors. Classes are the names by number.

    Raises:
        DataError: When it cannot be imported, fails, or returns something else.
    """
    module, _, function = name.partition(":")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise DataError(f"data.source: {name} cannot be imported: {error}.") from error
    try:
        returned = make()
    except Exception as error:
        raise DataError(f"data.source: {name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(returned, tuple) or len(returned) not in (2, 3):
        raise DataError(f"data.source: {name} returned {type(returned).__name__}; (images, labels) or "
                        "(images, labels, classes) is needed.")
    try:
        images = np.asarray(returned[0])
        labels = np.asarray(returned[1])
        classes = class_names(returned[2]) if len(returned) == 3 else None
    except (TypeError, ValueError) as error:
        raise DataError(f"data.source: what {name} returned is no array: {error}") from error
    pixels, notices = to_bytes({"train": images})
    names = labels_of("train", labels, len(images) if images.ndim else 0, classes)
    return Raw({"train": Part(from_arrays("train", pixels["train"], settings), names)}, classes, notices=notices)

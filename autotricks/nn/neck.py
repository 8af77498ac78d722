"""What stands between the features of a model and its classifier."""
from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from .classifier import classifier


class Pooling(nn.Module):
    """A pooling that a trick put in the place of the model's average of its last feature maps."""


def width(model: nn.Module, classes: int) -> int:
    """Return how many features the classifier of a model is given.

    Raises:
        ModelError: When the model has no classifier.
    """
    return model.get_parameter(f"{classifier(model, classes)}.weight").shape[1]


def insert(model: nn.Module, classes: int, module: nn.Module) -> nn.Module:
    """Put a module before the classifier of a model and return the classifier.

    It becomes the model's `neck` where there is an empty one, else both become a sequence `neck`, `classifier` in the
    place of the classifier. That one is still found, replaced or asked for by its name as before.

    Args:
        model: Changed.
        classes: Number of classes.
        module: Maps features, [B, F], to features, [B, F].

    Raises:
        ModelError: When the model has no classifier.
    """
    name = classifier(model, classes)
    head = model.get_submodule(name)
    module.train(model.training)
    if isinstance(getattr(model, "neck", None), nn.Identity):
        model.neck = module
        return head
    both = nn.Sequential(OrderedDict(neck=module, classifier=head))
    model.set_submodule(name, both.train(model.training))
    if hasattr(model, "get_classifier"):  # past nn.Module, which would take it for a part; a copy asks the copy
        object.__setattr__(model, "get_classifier", partial(model.get_submodule, f"{name}.classifier"))
    return head

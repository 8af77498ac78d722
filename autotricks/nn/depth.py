"""The layers of a model, counted from its stem."""
from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from .classifier import classifier, trunk

SEQUENCES = (nn.Sequential, nn.ModuleList)


def parts(model: nn.Module, prefix: str = "") -> Iterator[str]:
    """Yield the names of a model's parts in the order in which they were made.

    A sequence counts as its parts, and so does a module that holds a sequence of blocks, such as an encoder or a stage.
    """
    for name, child in model.named_children():
        if isinstance(child, SEQUENCES) or any(_of_blocks(inside) for inside in child.children()):
            yield from parts(child, f"{prefix}{name}.")
        else:
            yield prefix + name


def _of_blocks(module: nn.Module) -> bool:
    """Return whether this is a sequence of two modules or more that are of one class and have several layers each."""
    members = list(module.children()) if isinstance(module, SEQUENCES) else []
    alike = len(members) > 1 and len({type(member) for member in members}) == 1
    return alike and not isinstance(members[0], SEQUENCES) and all(
        sum(weight.ndim > 1 for weight in member.parameters()) > 1 for member in members)


def levels(model: nn.Module, head: str) -> dict[str, int]:
    """Return for each weight by name how many layers lie below it: 0 for the stem.

    A layer is a group of timm's `group_matcher` where the model has one, else a part of the model; a norm belongs to
    what comes before it. What comes after the classifier belongs to it.

    Args:
        model: The model.
        head: Name of its classifier.
    """
    depths = _depths(model)
    top = depths[f"{head}.weight"]
    return {name: min(depth, top) for name, depth in depths.items()}


def levels_of(model: nn.Module, classes: int) -> dict[str, int]:
    """Return `levels` of a model; all of a detector but its trunk is one layer, the last.

    Args:
        model: The model.
        classes: Rows of its classifier.

    Raises:
        ModelError: When it has no classifier.
    """
    inside = trunk(model)
    if not inside:
        return levels(model, classifier(model, classes))
    below = {f"{inside}.{name}": depth for name, depth in _depths(model.get_submodule(inside)).items()}
    top = max(below.values()) + 1
    return {name: below.get(name, top) for name, _ in model.named_parameters()}


def _depths(model: nn.Module) -> dict[str, int]:
    """Return for each weight by name the layers that lie below it, what comes after the classifier too."""
    names = [name for name, _ in model.named_parameters()]
    matcher = getattr(model, "group_matcher", None)
    if matcher:
        from timm.models import group_parameters

        depths = dict(group_parameters(model, matcher(coarse=False), reverse=True))
    else:
        depths = dict.fromkeys(names, 0)
        level = -1
        for part in parts(model):
            inside = dict(model.get_submodule(part).named_parameters(part))
            if any(weight.ndim > 1 for weight in inside.values()):
                level += 1
            depths.update({name: max(level, 0) for name in inside if name in depths})
    return {name: depths[name] for name in names}

"""Trained weights put into a model that was not trained with them."""
from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any

import torch
from torch import Tensor, nn

from ..core.weights import Weights
from ..errors import ModelError, printable
from .classifier import classifier, trunk

UNCOUNTED = "num_batches_tracked"       # old files lack it; with a set momentum nothing reads it
NAMED = 3       # names of a file that a message shows
_FOLDED = re.compile(r"^([A-Za-z]\w*)\.(\d+)\.")      # timm's lists of features name part 0 of `stages` stages_0
DRAWN = ("relative_position_index", "attn_mask")    # buffers that follow from the size of images alone


@torch.no_grad()
def begin_with(model: nn.Module, weights: Weights, classes: int) -> nn.Module:
    """Put weights into a freshly built model, in place, and return it.

    Raises:
        ModelError: When they are those of another architecture.
    """
    state = model.state_dict()
    for name, value in fitted(model, weights.tensors, classes, weights.source).items():
        state[name].copy_(value)
    return model


def fitted(model: nn.Module, held: Mapping[str, Tensor], classes: int, source: object) -> dict[str, Tensor]:
    """Return what of a file goes into the model: all of it but a classifier of other classes.

    A prefix that the model's names have in the file, such as `module.`, is left out. Position tables of another
    image size are resampled, as the model's library does. Into a detector go the weights of another, but what it says
    of classes; or else those of a classifier into its trunk.

    Args:
        model: Freshly built.
        held: Weights by name.
        classes: Rows of the model's classifier.
        source: Where the weights come from, for the message.

    Raises:
        ModelError: When other weights of the model lack or differ in shape, or the file has more of the same layers.
    """
    inside = trunk(model)
    if not inside or _of_a_detector(model, held):
        return _fitted(model, held, _heads(model, classes), source)
    part = model.get_submodule(inside)
    own = part.state_dict()
    named = {flat if (flat := _FOLDED.sub(r"\1_\2.", name)) in own else name: value for name, value in held.items()}
    return {f"{inside}.{name}": value for name, value in _fitted(part, named, [], source).items()}


def _of_a_detector(model: nn.Module, held: Mapping[str, Tensor]) -> bool:
    """Return whether a file has most weights of a detector beside those of its trunk."""
    own = model.state_dict()
    prefix = _prefix(held, own)
    beside = {name for name in own if not name.startswith(f"{trunk(model)}.")}
    return 2 * sum(name.removeprefix(prefix) in beside for name in held) > len(beside)


def _fitted(model: nn.Module, held: Mapping[str, Tensor], classifiers: Sequence[str],
            source: object) -> dict[str, Tensor]:
    own = model.state_dict()
    heads = tuple(f"{name}." for name in classifiers)
    prefix = _prefix(held, own)
    stripped = {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}
    given = _resampled(model, stripped, source)
    stem = _stem(model)
    given = {name: adapted(value, own[name].shape[1])
             if name == stem and name in own and value.ndim == own[name].ndim > 1 else value
             for name, value in given.items()}
    fits = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    wrong = [name for name in own if name not in fits and not name.startswith(heads) and not _follows(name)]
    parts = {name.split(".")[0] for name in own}
    more = [name for name in given if name not in own and name.split(".")[0] in parts and not name.startswith(heads)
            and not _follows(name)]
    if wrong or more:
        raise ModelError(f"pretrained.weights: {source}: {_misfit(model, own, given, wrong, more)} Take weights of the "
                         "same architecture, for images of the same size.")
    return fits


def _misfit(model: nn.Module, own: Mapping[str, Tensor], given: Mapping[str, Tensor], wrong: Sequence[str],
            more: Sequence[str]) -> str:
    """Return what does not fit, with a name of each side to compare."""
    first = (wrong or more)[0]
    shapes = [f"{list(state[first].shape)} in the {where}" if first in state else f"not in the {where}"
              for state, where in ((own, "model"), (given, "file"))]
    theirs = [name for name in given if name not in own]
    names = f" {_looks(theirs)}" if theirs else ""
    return (f"{len(wrong)} of {len(own)} weights of {type(model).__name__} do not fit, and {len(more)} of the file are "
            f"left over; {first} is {', '.join(shapes)}.{names}")


def _looks(names: Iterable[str]) -> str:
    """Return how the names of a file look."""
    return f"Names in the file look like {', '.join(printable(name) for name in islice(names, NAMED))}."


def _follows(name: str) -> bool:
    """Return whether a buffer need not come from a file."""
    return name.endswith((UNCOUNTED, *DRAWN))


def _heads(model: nn.Module, classes: int) -> list[str]:
    """Return the names of the model's classifiers; a distilled model has two."""
    published = getattr(model, "pretrained_cfg", None) or {}
    named = published.get("classifier") or classifier(model, classes)
    return [named] if isinstance(named, str) else [*named]


def _prefix(held: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Return the prefix without which most names are those of the model, or else that of all names in the file.

    The latter are names that the model's library may know from before.
    """
    prefixes = Counter({"": sum(name in own for name in held)})
    for name in held:
        parts = name.split(".")
        for length in range(1, len(parts)):
            if ".".join(parts[length:]) in own:
                prefixes[".".join(parts[:length]) + "."] += 1
    best = max(prefixes, key=lambda prefix: (prefixes[prefix], -len(prefix)))
    if 2 * prefixes[best] >= len(own):
        return best
    folders = zip(*(name.split(".")[:-1] for name in held))
    return "".join(f"{words[0]}." for words in takewhile(lambda words: len(set(words)) == 1, folders))


def _resampled(model: nn.Module, held: dict[str, Tensor], source: object) -> dict[str, Tensor]:
    """Return weights with position tables for the model's own image size, and names as its library has them now."""
    library = type(model).__module__
    try:
        if library.startswith("timm."):
            convert: Callable[..., Any] | None = getattr(sys.modules[library], "checkpoint_filter_fn", None)
            return dict(convert(dict(held), model)) if convert else held
        if library == "torchvision.models.vision_transformer":
            from torchvision.models.vision_transformer import interpolate_embeddings

            size: Any = model.image_size
            patch: Any = model.patch_size
            return dict(interpolate_embeddings(size, patch, dict(held)))
    except Exception as error:  # of weights that are not those of this model
        why = (str(error).splitlines() or [""])[0].rstrip(".")[:120] or type(error).__name__
        raise ModelError(f"pretrained.weights: {source}: {printable(why)}: not weights of {type(model).__name__}. "
                         f"{_looks(held)} Take weights of the same architecture.") from None
    return held


def _stem(model: nn.Module) -> str:
    """Return the name of the weight of the model's first convolution; nothing when it has none."""
    return next((f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d)), "")


def adapted(weight: Tensor, channels: int) -> Tensor:
    """Return weights of a first convolution for images of another number of channels, equal for all channels.

    A gray image, the same in every channel, gives what it gave before; so one channel has the sum of all.

    Shapes:
        weight: [F, D, h, w].
        returns: [F, channels, h, w].
    """
    if weight.shape[1] == channels:
        return weight
    return weight.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels

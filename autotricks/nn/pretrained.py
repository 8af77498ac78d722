"""Weights from a file, for a model that was not trained with them."""
from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import ModelError
from .classifier import classifier

INSIDE = ("state_dict", "model_state", "model", "module")   # where training scripts keep the weights in a checkpoint
UNCOUNTED = "num_batches_tracked"                           # old files lack it; with a set momentum nothing reads it


def read(path: Path) -> dict[str, Tensor]:
    """Return weights by name from a safetensors file, or from a state dict or checkpoint that torch.save wrote.

    Raises:
        ModelError: When the file is missing, damaged, or holds something else.
    """
    try:
        held = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except FileNotFoundError:
        raise ModelError(f"pretrained.weights: {path}: no such file. Give the path of a .safetensors file or of a "
                         "state dict that torch.save wrote.") from None
    except Exception as error:  # what unpickling refuses or stumbles over is of many classes
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:120]
        raise ModelError(f"pretrained.weights: {path}: cannot be read as weights: {why}. Give a .safetensors file, or "
                         "a state dict that torch.save wrote; a file that runs code when it is read is not taken."
                         ) from None
    return _tensors(held, path)


def _unpickled(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
        if unpacked > path.stat().st_size:  # torch.save neither compresses a record nor lists it twice
            raise ValueError(f"it unpacks to {unpacked:,} bytes, more than it has")
    return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(held: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict inside what a file held, without the prefix of torch.nn.parallel or torch.compile."""
    while isinstance(held, Mapping) and any(isinstance(held.get(word), Mapping) for word in INSIDE):
        held = next(held[word] for word in INSIDE if isinstance(held.get(word), Mapping))
    if not isinstance(held, Mapping) or not held or not all(isinstance(value, Tensor) for value in held.values()):
        raise ModelError(f"pretrained.weights: {path}: holds {type(held).__name__}, not weights by name. Give a state "
                         "dict: torch.save(model.state_dict(), path).")
    for prefix in ("module.", "_orig_mod."):
        if all(name.startswith(prefix) for name in held):
            held = {name.removeprefix(prefix): value for name, value in held.items()}
    return dict(held)


def fitted(model: nn.Module, held: Mapping[str, Tensor], classes: int, path: Path) -> dict[str, Tensor]:
    """Return what of the file goes into the model: all of it but a classifier of other classes.

    Args:
        model: Freshly built.
        held: Weights by name.
        classes: Rows of the model's classifier.
        path: Where the weights come from, for the message.

    Raises:
        ModelError: When other weights of the model lack or differ in shape, or the file has more of the same layers.
    """
    own = model.state_dict()
    head = f"{classifier(model, classes)}."
    stem = _stem(model)
    given = {name: adapted(value, own[name].shape[1]) if name == stem and value.ndim == own[name].ndim else value
             for name, value in held.items()}
    fits = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    wrong = [name for name in own if name not in fits and not name.startswith(head) and not name.endswith(UNCOUNTED)]
    parts = {name.split(".")[0] for name in own}
    more = [name for name in held if name not in own and name.split(".")[0] in parts and not name.startswith(head)
            and not name.endswith(UNCOUNTED)]
    if wrong or more:
        first = (wrong or more)[0]
        shapes = [f"{list(state[first].shape)} in the {where}" if first in state else f"not in the {where}"
                  for state, where in ((own, "model"), (held, "file"))]
        raise ModelError(f"pretrained.weights: {path}: {len(wrong)} of {len(own)} weights of {type(model).__name__} do "
                         f"not fit, and {len(more)} of the file are left over; {first} is {', '.join(shapes)}. Take "
                         "weights of the same architecture.")
    return fits


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

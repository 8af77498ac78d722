"""Build a model by name: `resnet20`, `timm:NAME`, `torchvision:NAME`, `my.module:function`; see `names`."""
from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Callable

import torch
from torch import nn

from ..errors import ModelError
from .names import DETECTOR, ModelName, parse
from .resnet import ResNet
from .zoo import LIBRARIES, names, problem

OWN = ("resnet8", "resnet20", "resnet32", "resnet44", "resnet56")
AUXILIARY = ("googlenet", "inception_v3")     # of torchvision, with classifiers of their own on earlier layers
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.LayerNorm)
Size = tuple[int, int]      # height and width
GAINS = ("gain", "skipinit_gain")             # of a convolution and of a whole branch
_CODE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def check(name: str, trust: bool = False, objects: bool | None = False) -> None:
    """Check a model's name without importing a model library.

    Args:
        name: The model.
        trust: Whether `my.module:function` may be imported.
        objects: Whether it must find objects, or name classes; None: either. What code of the user's own does is not
            known before it runs.

    Raises:
        ModelError: When the name cannot be such a model.
    """
    library, _, rest = name.partition(":")
    detects = library == DETECTOR and bool(rest)
    known(rest if detects else name, trust)
    if detects and objects is False:
        raise ModelError(f"model.name: {name} finds objects. Write {rest}, or set data.task: detection.")
    if detects or (objects and (parse(name).library or name in OWN)):
        _require_backbone(name, rest if detects else "")


def _require_backbone(name: str, backbone: str) -> None:
    """Refuse, where objects are to be found, a classifier, and a detector around what gives no maps."""
    parts = parse(backbone or name)
    usable = parts.library == "timm" or parts.architecture in OWN
    if not usable:
        raise ModelError(f"model.name: {name}: a detector has one of {', '.join(OWN)} or timm:NAME within. Write "
                         f"{DETECTOR}:resnet20, or {DETECTOR}:timm:NAME.")
    if not backbone:
        raise ModelError(f"model.name: {name} finds no objects. Write {DETECTOR}:{name}.")


def known(name: str, trust: bool = False) -> None:
    """Check that a name is one of ours, a library's, or code that may be imported.

    Raises:
        ModelError: When it is not.
    """
    library, _, rest = name.partition(":")
    if library in LIBRARIES and rest:
        parts = parse(name)
        unknown = problem(library, parts.architecture) if parts.architecture else None
        if unknown:
            raise ModelError(unknown)
        return
    if name in OWN:
        return
    if not rest:
        raise ModelError(f"model.name: no model is called {name!r}. {_hint(name)} "
                         f"Others: timm:NAME, torchvision:NAME, my.module:function.")
    if not _CODE.fullmatch(name):
        raise ModelError(f"model.name: {name!r} is not of the form my.module:function.")
    if not trust:
        near = [f"{word}:{rest}" for word in difflib.get_close_matches(library, LIBRARIES, 1, 0.75)
                if rest in names(word)]
        raise ModelError(f"model.name: no model is called {name!r}. Did you mean {near[0]}?" if near else
                         f"model.name: {name} is code of yours; allow it with --trust.")
    _own_code(name)


def _hint(name: str) -> str:
    """Return which model was meant by a name without a library: that of a library before what is only alike."""
    near = [f"{library}:{name}" for library in LIBRARIES if name in names(library)] or \
        difflib.get_close_matches(name, OWN, 1)
    return f"Did you mean {' or '.join(near)}?" if near else f"Ours are {', '.join(OWN)}."


def build(name: str, classes: int, channels: int, trust: bool = False, size: Size | None = None) -> nn.Module:
    """Build a model with fresh weights.

    What timm and torchvision do on their own to train better is off: zero-gamma, dropout, stochastic depth and
    auxiliary classifiers are for tricks to bring. Weights are drawn as the library draws them.

    Args:
        name: `resnet8` to `resnet56`, `timm:NAME`, `torchvision:NAME`, or `my.module:function`, which is called
            with `classes` and `channels` and returns a module. A library's model takes arguments after a `?`.
        classes: Number of classes.
        channels: Channels of an image.
        trust: Whether `my.module:function` may be imported.
        size: Height and width of an image, for a model that is made for one size; None leaves its own.

    Raises:
        ModelError: When there is no such model or it cannot take these images.
    """
    check(name, trust)
    if name in OWN:
        return ResNet(int(name.removeprefix("resnet")), classes, channels)
    parts = parse(name)
    if parts.library:
        make = _timm if parts.library == "timm" else _torchvision
        try:
            return plain(make(parts, classes, channels, size))
        except ModelError:
            raise
        except Exception as error:      # whatever a library raises of its arguments
            why = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
            images = f" for images of {size[0]}x{size[1]} pixels" if size else ""
            raise ModelError(f"model.name: {name} cannot be built{images}: {why}. Set data.size, or the model's "
                             "arguments, to what it takes.") from error
    return own_model(name, classes, channels)


def own_model(name: str, classes: int, channels: int) -> nn.Module:
    """Return what a function of the user's own returns, which must be a module.

    Raises:
        ModelError: When it is none, or the function is none or cannot be imported.
    """
    model = _own_code(name)(classes=classes, channels=channels)
    if not isinstance(model, nn.Module):
        raise ModelError(f"model.name: {name} returned {type(model).__name__}, not a torch.nn.Module.")
    return model


def _timm(name: ModelName, classes: int, channels: int, size: Size | None) -> nn.Module:
    import timm

    if not name.architecture:
        raise ModelError(f"model.name: {name}: which architecture it is only the hub knows. A search asks it; write "
                         f"timm:ARCHITECTURE@{name.repository} to name it yourself.")
    published = timm.get_pretrained_cfg(name.architecture, allow_unregistered=True)
    options = dict(name.arguments)
    if size and published and published.fixed_input_size:
        options.setdefault("img_size", size)
    model: nn.Module = timm.create_model(name.architecture, num_classes=classes, in_chans=channels, **options)
    usual = tuple(published.input_size[1:]) if published and not name.arguments else None
    if size and published and published.fixed_input_size and size != usual:
        _require_taken(model, channels, size)
    return model


@torch.inference_mode()
def _require_taken(model: nn.Module, channels: int, size: Size) -> None:
    """Show a model a blank image, of which it raises something where it cannot take images of this size."""
    model.eval()(torch.zeros(1, channels, *size))
    model.train()


def _torchvision(name: ModelName, classes: int, channels: int, size: Size | None) -> nn.Module:
    import torchvision.models as zoo

    if channels != 3:
        raise ModelError(f"model.name: {name} takes images of 3 channels, these have {channels}. "
                         "Set data.channels: 3, or take the model from timm.")
    options = dict(name.arguments)
    if name.architecture in AUXILIARY:
        options.setdefault("aux_logits", False)
    if size and name.architecture.startswith("vit_"):
        options.setdefault("image_size", _side(name, size))
    if size and name.architecture.startswith("maxvit"):
        options.setdefault("input_size", size)
    built: nn.Module = zoo.get_model(name.architecture, weights=None, num_classes=classes, **options)
    return built


def _side(name: ModelName, size: Size) -> int:
    height, width = size
    if height != width:
        raise ModelError(f"model.name: {name} takes square images, these have {height}x{width} pixels. Set data.size.")
    return height


def plain(model: nn.Module) -> nn.Module:
    """Switch off, in place, what a library's model does to train better."""
    speaking(model)
    for module in model.modules():
        if isinstance(module, NORMS) and module.weight is not None and not module.weight.any():
            nn.init.ones_(module.weight)
        drops = "Drop" in type(module).__name__ or "Stochastic" in type(module).__name__
        for rate in [word for word in vars(module) if "drop" in word or (drops and word == "p")]:
            if isinstance(getattr(module, rate), float):
                setattr(module, rate, 0.0)
    return model


def speaking(model: nn.Module) -> None:
    """Set to 1 what keeps residual branches without norms silent at first: the gain of timm's NF-nets."""
    for name, gain in model.named_parameters():
        if name.split(".")[-1] in GAINS and not gain.any():
            nn.init.ones_(gain)


def _own_code(name: str) -> Callable[..., object]:
    """Import the user's function, which must take `classes` and `channels`."""
    module, _, function = name.partition(":")
    try:
        make: Callable[..., object] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"model.name: {name} cannot be imported: {error}.") from error
    try:
        inspect.signature(make).bind(classes=0, channels=0)
    except (TypeError, ValueError) as error:
        raise ModelError(f"model.name: {name} must be a function of classes and channels: {error}.") from error
    return make

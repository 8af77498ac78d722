"""Normalization layers inside a model: replacing them, and finding the convolutions that they normalize."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .activation_maps import evaluating

Given = dict[str, list[tuple[Tensor, int]]]     # by a module's name: tensors and the version that each was in


class Pair(NamedTuple):
    """A convolution and the batch norm that alone reads its output, each with its name in the model."""

    name: str
    layer: nn.Conv2d
    norm_name: str
    norm: nn.BatchNorm2d


def batch_norms(model: nn.Module, trick: str) -> dict[str, nn.BatchNorm2d]:
    """Return the batch normalization layers inside a model, by name.

    Raises:
        ModelError: When there is none; it names the trick that looked for them.
    """
    norms = {name: module for name, module in model.named_modules() if name and isinstance(module, nn.BatchNorm2d)}
    if not norms:
        raise ModelError(f"{trick}: {type(model).__name__} has no batch normalization (torch.nn.BatchNorm2d) inside "
                         f"it. Take another model or drop {trick}.")
    return norms


def replace_norm(model: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` in the place of a batch norm; an activation that was part of it, as in timm, stays behind it."""
    norm = model.get_submodule(name)
    rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if isinstance(part, nn.Module)]
    model.set_submodule(name, nn.Sequential(module, *rest) if rest else module)


def replace_norms(model: nn.Module, make: Callable[[nn.BatchNorm2d], nn.Module], trick: str) -> nn.Module:
    """Put what `make` returns in the place of each batch norm, in place.

    Raises:
        ModelError: When there is none.
    """
    for name, norm in batch_norms(model, trick).items():
        replace_norm(model, name, make(norm))
    return model


def copy_state(norm: nn.Module, source: nn.BatchNorm2d) -> None:
    """Give a normalization layer the scale, shift and statistics of another, where it has such, on its device."""
    theirs = source.state_dict()
    for value in theirs.values():
        if value.is_floating_point():
            norm.to(value)
    own = norm.state_dict()
    norm.load_state_dict({**own, **{name: value for name, value in theirs.items() if name in own}})
    norm.train(source.training)


def synchronize(model: nn.Module) -> None:
    """Let torch's and timm's batch norms take the statistics of a batch over all ranks; again changes nothing.

    The class of a layer is replaced, not the layer: names, weights, hooks and copies stay what they are. Layers of
    other kinds, which normalize small batches well, go on with the part of their own rank. CUDA only.
    """
    from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct  # importing timm takes seconds

    kinds = {nn.BatchNorm1d: nn.SyncBatchNorm, nn.BatchNorm2d: nn.SyncBatchNorm, nn.BatchNorm3d: nn.SyncBatchNorm,
             BatchNormAct2d: SyncBatchNormAct}
    for module in model.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
            module.process_group = None  # type: ignore[assignment]


def synchronized(model: nn.Module) -> bool:
    """Return whether a forward pass in training waits for the other ranks."""
    return any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


@torch.no_grad()
def statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance, not made unbiased, and the mean of each channel.

    Shapes:
        images: [B, D, H, W].
        returns: [D] and [D].
    """
    mean, variance = torch.batch_norm_update_stats(images, None, None, 0.0)  # ten times as fast as var_mean on a CPU
    return variance, mean


@torch.no_grad()
def track(norm: nn.BatchNorm2d, variance: Tensor, mean: Tensor) -> None:
    """Move the running statistics of a batch norm towards those of a batch, as torch does, and count the batch.

    Shapes:
        variance: [D].
        mean: [D].
    """
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    momentum = norm.num_batches_tracked.to(mean.dtype).reciprocal() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)


def normalized_convolutions(model: nn.Module, image_shape: tuple[int, int, int], trick: str) -> dict[str, str]:
    """Return, by the name of each convolution whose output goes into one batch norm and nowhere else, that norm's name.

    One gray image goes through the model in evaluation mode; nothing is changed by it.

    Args:
        model: On its device.
        image_shape: (D, H, W).
        trick: Which asks.

    Raises:
        ModelError: When the model has no batch norm.
    """
    norms = batch_norms(model, trick)
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    written: Given = {name: [] for name in convolutions}
    read: Given = {name: [] for name in norms}
    hooks = [module.register_forward_hook(partial(_note_output, written[name]))
             for name, module in convolutions.items()]
    hooks += [norm.register_forward_pre_hook(partial(_note_input, read[name])) for name, norm in norms.items()]
    weight = next(model.parameters())
    try:
        with evaluating(model), torch.enable_grad():
            images = torch.zeros(1, *image_shape, device=weight.device, dtype=weight.dtype, requires_grad=True)
            readers = _readers(model(images))
    finally:
        for hook in hooks:
            hook.remove()
    return dict(_pairs(written, read, readers))


def plain_pairs(model: nn.Module, image_shape: tuple[int, int, int], trick: str, square: bool = False) -> list[Pair]:
    """Return the convolutions whose output goes into batch norm of torch's own kind, and nowhere else.

    Args:
        model: On its device.
        image_shape: (D, H, W).
        trick: Which asks.
        square: Whether only 3x3 convolutions count, which keep the size of their images but for the stride.

    Raises:
        ModelError: When there is none.
    """
    pairs = []
    for name, norm_name in normalized_convolutions(model, image_shape, trick).items():
        layer = model.get_submodule(name)
        norm = model.get_submodule(norm_name)
        if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d and (not square or _square(layer)):
            pairs.append(Pair(name, layer, norm_name, norm))
    if not pairs:
        raise ModelError(f"{trick}: {type(model).__name__} has no {'3x3 ' if square else ''}convolution whose output "
                         f"goes into torch.nn.BatchNorm2d alone. Take another model or drop {trick}.")
    return pairs


def _square(layer: nn.Conv2d) -> bool:
    return (type(layer) is nn.Conv2d and layer.kernel_size == (3, 3) and layer.padding == layer.dilation
            and layer.padding_mode == "zeros")


def _note_output(notes: list[tuple[Tensor, int]], module: nn.Module, inputs: object, output: Tensor) -> None:
    notes.append((output, output._version))


def _note_input(notes: list[tuple[Tensor, int]], module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    notes.append((inputs[0], inputs[0]._version))


def _pairs(written: Given, read: Given, readers: Counter[Any]) -> Iterator[tuple[str, str]]:
    """Yield convolution and norm where the one tensor written, as it was written, is the one tensor read."""
    for convolution, outputs in written.items():
        for norm, inputs in read.items():
            if (len(outputs) == len(inputs) == 1 and outputs[0][0] is inputs[0][0] and outputs[0][1] == inputs[0][1]
                    and readers[outputs[0][0].grad_fn] == 1):
                yield convolution, norm


def _readers(result: Tensor) -> Counter[Any]:
    """Return how often the result of each operation behind `result` is read."""
    seen = {result.grad_fn}
    open_ = [result.grad_fn]
    count = Counter[Any]()
    while open_:
        for before, _ in open_.pop().next_functions:  # type: ignore[union-attr]
            count[before] += 1
            if before is not None and before not in seen:
                seen.add(before)
                open_.append(before)
    return count

"""A pretended GPU: tensors that say that they are on `cuda:0`, on a machine that has none.

Each holds a tensor of the CPU, on which everything is computed, so values are those of the CPU bit for bit. Between is
what a GPU would refuse or wait for:

- tensors of two devices in one operation, and indices of one; but for numbers without a dimension, as torch allows;
- a generator of another device than what it is to fill;
- numpy on a tensor of the GPU;
- reading a value, or making a shape that depends on values: noted as a read, with the file of ours that asked;
- a copy to the GPU which the host waits for, as `torch.tensor(..., device="cuda")` makes one: noted as a send.

Replaced meanwhile: `torch.Generator`, `torch.autocast` (that of the CPU, whatever device is asked for), `Module.to`
where it is given a tensor for its device, and the state of CUDA's own generator, which is the CPU's. Parameters are
swapped when a module moves, as torch offers, so that they stay the same objects, as on a GPU.

What it cannot show: kernels, their rounding and their want of memory; streams, pinned memory and graphs; which
operations CUDA's autocast casts; foreach and fused optimizers that torch takes on a GPU unless told; branches on the
device inside torch's C++, which is told that all is on the CPU; compilation; several GPUs. (torch's own FakeTensorMode
shows no value, so it stops at each read, at draws with a generator and at running statistics.)
"""
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import autotricks

CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)
HOME = Path(autotricks.__file__).parent
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim", "unique_consecutive",
           "allclose", "bincount", "_linalg_check_errors"}
INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"}
LISTED = {"cat", "stack"}           # these take not even a number of the CPU's
MISLED = "torch/nn/utils/clip_grad.py"      # of torch: asks its C++ where gradients are, and copies a number to there
BACKWARD = "torch/autograd/graph.py"        # of torch: the backward pass, whose zeros and ones are made by its C++
GIVEN = {"tensor", "as_tensor", "asarray"}      # made of the host's numbers
DATA = Tensor.data.__get__, Tensor.data.__set__


@dataclass(frozen=True)
class Read:
    """Something that the host waits for.

    Args:
        kind: Name of the operation; `send` for a copy to the GPU.
        place: File of the package that asked for it; `elsewhere` where none did.
        line: Of the file; 0 elsewhere.
        steps: Done or begun by then.
        inside: Whether within a step.
    """

    kind: str
    place: str
    line: int
    steps: int
    inside: bool


class Watch:
    """Notes what the host waits for.

    Attributes:
        reads: In order.
        steps: Begun so far; whoever trains counts them.
        inside: Whether one of them is on its way.
    """

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.steps = 0
        self.inside = False

    def note(self, kind: str) -> None:
        """Note a wait and where in the package it comes from."""
        frame = sys._getframe(1)
        while frame is not None and not Path(frame.f_code.co_filename).is_relative_to(HOME):
            if frame.f_code.co_filename.endswith(MISLED):
                return
            frame = frame.f_back
        place = str(Path(frame.f_code.co_filename).relative_to(HOME)) if frame else "elsewhere"
        self.reads.append(Read(kind, place, frame.f_lineno if frame else 0, self.steps, self.inside))


watches = [Watch()]     # the last one is told


class OnGpu(Tensor):
    """A tensor that says that it is on the GPU.

    Attributes:
        held: What it is on the CPU.
    """

    held: Tensor
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        with torch.inference_mode(held.is_inference()):
            made = Tensor._make_wrapper_subclass(cls, held.size(), held.stride(), held.storage_offset(),
                                                 dtype=held.dtype, device=CPU)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(call, args, kwargs or {})

    def get_device(self) -> int:
        return 0

    def __deepcopy__(self, memo: dict[int, Any]) -> OnGpu:
        if id(self) not in memo:
            copied = OnGpu(self.held.clone()).requires_grad_(self.requires_grad)
            memo[id(self)] = nn.Parameter(copied, self.requires_grad) if isinstance(self, nn.Parameter) else copied
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.held!r})"


def tensors(values: Any) -> Iterator[Tensor]:
    """Yield the tensors among arguments, also in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


def each(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a value with a function applied to each tensor in it."""
    if isinstance(value, Tensor):
        return function(value)
    return type(value)(each(function, part) for part in value) if isinstance(value, (list, tuple)) else value


def held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, OnGpu) else tensor


def computed(call: Any, args: Any, kwargs: Any) -> Any:
    """Compute an operation with a tensor of the GPU among its arguments, unless a GPU would refuse."""
    name = call.overloadpacket.__name__
    given = list(tensors([*args, *kwargs.values()]))
    strangers = [tensor for tensor in given if not isinstance(tensor, OnGpu)]
    if name == "copy_":
        if strangers:
            watches[-1].note("send" if isinstance(args[0], OnGpu) else "read")
    elif name in INDEXING and isinstance(args[0], OnGpu):
        if any(index.dtype in (torch.bool, torch.uint8) for index in tensors([args[1]])):
            watches[-1].note("mask")
        elif strangers:
            watches[-1].note("send")
    elif strangers and (name in LISTED or name in INDEXING or any(tensor.ndim for tensor in strangers)):
        backward = sys._getframe(2).f_code.co_filename.endswith(BACKWARD)
        if not (backward and name in LISTED):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu: {call}")
    if name in WAITING:
        watches[-1].note(name)
    owners = {id(tensor.held): tensor for tensor in given if isinstance(tensor, OnGpu)}
    kwargs = {word: each(held, value) for word, value in kwargs.items()}
    if kwargs.get("device") is not None:
        kwargs["device"] = CPU
    result = call(*(each(held, value) for value in args), **kwargs)
    if name == "copy_":
        return args[0]
    return each(lambda tensor: owners.get(id(tensor)) if id(tensor) in owners else OnGpu(tensor), result)


class Moved(torch.autograd.Function):
    """A copy on the other device."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.held.clone() if isinstance(tensor, OnGpu) else OnGpu(tensor.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return Moved.forward(ctx, gradient)


def on_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def to(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if args and isinstance(args[0], Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    first = bool(args) and isinstance(args[0], (str, torch.device, int))
    device = args[0] if first else kwargs.get("device")
    if device is None:
        return tensor.to(*args, **kwargs)
    here = tensor.to(*((None, *args[1:]) if first else args), **{**kwargs, **({} if first else {"device": None})})
    if on_gpu(device) == isinstance(tensor, OnGpu):
        return here
    if not kwargs.get("non_blocking") and True not in args[2:3]:
        watches[-1].note("send" if on_gpu(device) else "read")
    return Moved.apply(here)


def new_tensor(tensor: Tensor, data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    made = torch.tensor(data, dtype=dtype or tensor.dtype, device=CPU)
    return to(made, tensor.device if device is None else device)


def numpy(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
    if isinstance(tensor, OnGpu):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
    return tensor.numpy(*args, **kwargs)


def tolist(tensor: Tensor) -> Any:
    if isinstance(tensor, OnGpu):
        watches[-1].note("tolist")
    return held(tensor).tolist()


MEMBERS: dict[str, Callable[..., Any]] = {
    "to": to, "cpu": lambda tensor, **rest: to(tensor, CPU, **rest), "new_tensor": new_tensor, "tolist": tolist,
    "cuda": lambda tensor, device=None, **rest: to(tensor, GPU, **rest), "numpy": numpy, "__array__": numpy}


class Pretence(TorchFunctionMode):
    """Carries out torch's functions so that what is asked for on the GPU says that it is there."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        if name in MEMBERS and args and isinstance(args[0], Tensor):
            return MEMBERS[name](*args, **kwargs)
        if function in DATA and isinstance(args[0], OnGpu):
            if len(args) == 1 or not isinstance(args[1], Tensor):
                return OnGpu(args[0].held)
            args[0].held = args[1].held
        device = kwargs.get("device")
        if kwargs.get("generator") is not None:
            given = next((tensor.device for tensor in tensors([*args, *kwargs.values()])), CPU)
            place, own = torch.device(device or given), kwargs["generator"].device
            if place.type != own.type:
                raise RuntimeError(f"Expected a '{place.type}' device type for generator but found '{own.type}'")
        if not on_gpu(device):
            return function(*args, **kwargs)
        if name in GIVEN:
            watches[-1].note("send")
        asks = kwargs.pop("requires_grad", False)
        made = function(*args, **{**kwargs, "device": CPU})
        return made if isinstance(made, OnGpu) else OnGpu(made).requires_grad_(asks)


class Generator(torch.Generator):
    """A generator that says where it is; its numbers are the CPU's."""

    def __new__(cls, device: Any = CPU) -> Generator:
        made = super().__new__(cls)
        made.place = torch.device(device)
        return made

    device = property(lambda self: self.place)


autocast, module_to = torch.autocast, nn.Module.to


def cast(device_type: str, *args: Any, **kwargs: Any) -> Any:
    return autocast("cpu", *args, **kwargs)


def moved(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    if args and isinstance(args[0], Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    return module_to(module, *args, **kwargs)


@contextmanager
def pretended() -> Iterator[Watch]:
    """Have a GPU inside; yields what notes its waits."""
    watches.append(Watch())
    swapping = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with (patch.object(torch, "Generator", Generator), patch.object(torch, "autocast", cast),
              patch.object(nn.Module, "to", moved),
              patch.object(torch.cuda, "get_rng_state", lambda device=None: torch.get_rng_state()),
              patch.object(torch.cuda, "set_rng_state", lambda state, device=None: torch.set_rng_state(state)),
              Pretence()):
            yield watches[-1]
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swapping)
        watches.pop()

"""Waiting: notes every call that would make a GPU's host wait, on a machine that need not have a GPU."""
import torch
from torch.overrides import TorchFunctionMode

WAITS = frozenset({"item", "tolist", "numpy", "cpu", "nonzero", "argwhere", "unique", "masked_select", "is_nonzero",
                   "equal", "allclose", "__bool__", "__float__", "__int__", "__index__"})


class Waiting(TorchFunctionMode):
    """While active, collect the names of calls whose result or shape the host must read from the device."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        masked = name in ("__getitem__", "__setitem__") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (args[1] if isinstance(args[1], tuple) else (args[1],)))
        places = name == "where" and len(args) == 1
        if name in WAITS or masked or places:
            self.calls.append(name)
        return function(*args, **(kwargs or {}))

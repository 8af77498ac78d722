"""The library of optimizers that torch lacks, imported without what only sharded tensors need."""
from __future__ import annotations

import sys
from types import ModuleType

SHARDED = ("torch.distributed.tensor", "torch.distributed._tensor")


def optimizer_library() -> ModuleType:
    """Return `pytorch_optimizer`, imported as where torch has no sharded tensors, unless these are there already.

    The library asks for them to tell them from plain ones, which are all that is trained here; they bring sympy and
    most of torch's compiler, sixteen times what the rest of the library takes.
    """
    absent = [name for name in SHARDED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))   # type: ignore[arg-type]    # None has such an import fail
    try:
        import pytorch_optimizer
    finally:
        for name in absent:
            del sys.modules[name]
    return pytorch_optimizer

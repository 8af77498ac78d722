"""torch.compile: let a compiler fuse the operations of the model."""
from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import replace

from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.traits import Trait
from ...core.trick import Advice, Trick
from ...errors import ResourceError


def missing(device: str) -> str:
    """Return what torch.compile lacks for a kind of device; nothing when it is all there."""
    if device == "cuda":
        return "" if importlib.util.find_spec("triton") else "the package triton"
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    return "" if shutil.which(name) else f"a C++ compiler ({name} is not found)"


class TorchCompile(Trick):
    """Compile the model for the forward and backward passes of steps; evaluation and export keep the model as it is.

    Compiling takes from seconds to a minute in every trial, so it pays in long training runs, not in short trials.
    Where a loss reads features the model runs uncompiled: a hook takes them. A process compiles at most eight variants
    of the same code, torch's limit, until it forgets them, with every fourth training; what comes after the eighth runs
    uncompiled. `training.compile` asks whether compiling pays, and compiles whatever the search draws.

    Paper: Ansel et al. 2024, https://doi.org/10.1145/3620665.3640366.
    Cost: less a step; 10 to 80 s before the first step on a CPU, 2 to 7 s when its cache on disk is warm.

    Raises:
        ResourceError: When there is no C++ compiler, or, for a GPU, no triton.
    """

    seats = {Slot.RUNTIME: "compile"}
    provides = frozenset({Trait.COMPILES})
    excludes = frozenset({Trait.MIXES_HIDDEN})
    advice = (Advice(Trait.RESIZES, "each new image size is compiled anew, and after eight none is",
                     "PyTorch, https://docs.pytorch.org/docs/stable/torch.compiler_faq.html"),)

    def check(self, run: Run) -> None:
        """Refuse a machine on which nothing can be compiled."""
        if lacking := missing(run.device.type):
            raise ResourceError(f"torch_compile: this machine has not {lacking}, which torch.compile needs. Install it "
                                "or drop torch_compile.")

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with the model compiled."""
        return replace(inner, compile=True)

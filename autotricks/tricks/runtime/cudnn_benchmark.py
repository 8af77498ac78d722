"""cudnn.benchmark: take the fastest algorithm of each convolution, found by trying."""
from __future__ import annotations

from dataclasses import replace

from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.traits import Trait
from ...core.trick import Advice, Trick


class CudnnBenchmark(Trick):
    """Let cuDNN try its algorithms when a convolution meets a new shape, and keep the fastest.

    Which one is fastest may differ from run to run, so repeats on a GPU are no longer equal to the last bit. On a CPU
    it does nothing.

    Paper: Chetlur et al. 2014, https://arxiv.org/abs/1410.0759; PyTorch,
        https://docs.pytorch.org/docs/stable/backends.html.
    Cost: some seconds for each new shape; memory for the workspace of the algorithm taken.
    """

    seats = {Slot.RUNTIME: "memory"}
    advice = (Advice(Trait.RESIZES, "each new image size is tried anew",
                     "PyTorch, https://docs.pytorch.org/docs/stable/backends.html"),)

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with cuDNN trying."""
        return replace(inner, benchmark=True)

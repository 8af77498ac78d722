"""channels_last: lay images and weights out with the channels of a pixel side by side."""
from __future__ import annotations

from dataclasses import replace

from ...core.domain import Choice, tunable
from ...core.run import Run, Runtime
from ...core.slots import Slot
from ...core.trick import Trick


class ChannelsLast(Trick):
    """Lay images, feature maps and the weights of convolutions out as NHWC, or, where `on` is false, as NCHW.

    Without this trick images of 32 pixels a side and more are NHWC, smaller ones NCHW. What is computed stays the same
    but for rounding. GPUs with tensor cores want it together with `bf16` or `fp16`.

    Paper: PyTorch, https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html.
    Cost: none, or less: one copy of each batch.
    """

    seats = {Slot.RUNTIME: "memory"}
    on: bool = tunable(True, search=Choice(True, False))

    def runtime(self, inner: Runtime, run: Run) -> Runtime:
        """Return the runtime with this layout."""
        return replace(inner, channels_last=self.on)

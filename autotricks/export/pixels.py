"""Pixels: a trained model from pixels to what a person is told, as one module."""
from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..core.slots import Output, Predict


class Pixels(nn.Module):
    """Everything from pixels to the answer, so that whoever runs it needs to know no mean and no deviation.

    Args:
        model: The trained model.
        predict: Normalized images to output, by that model.
        decode: Output to what a person is told, such as probabilities; of the model's task.
        mean: Of each channel in [0, 1], [D, 1, 1].
        std: Standard deviation of each channel, [D, 1, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, predict: Predict, decode: Callable[[Output], Tensor],
                 mean: Tensor, std: Tensor):
        super().__init__()
        self.model = model
        self._predict = predict
        self._decode = decode
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images, [N, D, H, W], to the answer: of classes, the probability of each, [N, C]."""
        return self._decode(self._predict((images.float() / 255 - self.mean) / self.std))

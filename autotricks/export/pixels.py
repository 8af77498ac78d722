"""Pixels: a trained model from pixels to probabilities, as one module."""
from __future__ import annotations

from torch import Tensor, nn

from ..core.slots import Predict


class Pixels(nn.Module):
    """Everything from pixels to probabilities, so that whoever runs it needs to know no mean and no deviation.

    Args:
        model: The trained model.
        predict: Normalized images to logits, by that model.
        mean: Of each channel in [0, 1], [D, 1, 1].
        std: Standard deviation of each channel, [D, 1, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, predict: Predict, mean: Tensor, std: Tensor):
        super().__init__()
        self.model, self._predict = model, predict
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 images, [N, D, H, W], to the probability of each class, [N, C]."""
        return self._predict((images.float() / 255 - self.mean) / self.std).softmax(1)

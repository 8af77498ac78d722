"""ResNets for small images, with parameter-free shortcuts.

Paper: He et al. 2016, https://arxiv.org/abs/1512.03385, section 4.2, option A.
"""
from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Shortcut(nn.Module):
    """An identity without weights where the shape changes: every other pixel, and channels of zeros on both sides."""

    def __init__(self, stride: int, added: int):
        super().__init__()
        self.stride = stride
        self.added = added

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, D, H, W] to [B, D + 2 added, H / stride, W / stride]."""
        return F.pad(images[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.added, self.added))


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else Shortcut(stride, (outputs - inputs) // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        residual = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(images)), inplace=True)))
        return F.relu(residual + self.shortcut(images), inplace=True)


class ResNet(nn.Module):
    """A ResNet of 6n + 2 layers with 16, 32 and 64 channels.

    Args:
        depth: 8, 20, 32, 44, 56, ...: 6n + 2. ResNet-32 has 0.46 M parameters.
        classes: Number of classes C.
        channels: Channels D of an image.
    """

    def __init__(self, depth: int, classes: int, channels: int = 3):
        super().__init__()
        blocks = (depth - 2) // 6
        self.stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        layers = []
        width = 16
        for stage, outputs in enumerate((16, 32, 64)):
            for place in range(blocks):
                layers.append(Block(width, outputs, 2 if stage and not place else 1))
                width = outputs
        self.layers = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.neck = nn.Identity()
        self.head = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last feature maps, [B, 64, H / 4, W / 4]."""
        features: Tensor = self.layers(F.relu(self.bn(self.stem(images)), inplace=True))
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        """Return logits, [B, C], from feature maps."""
        logits: Tensor = self.head(self.neck(self.pool(features).flatten(1)))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, [B, C]."""
        return self.forward_head(self.forward_features(images))

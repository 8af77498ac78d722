"""Models by name: small CIFAR ResNets of our own, everything else from timm, torchvision or the user."""
from .build import build, check

__all__ = ["build", "check"]

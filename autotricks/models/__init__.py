"""Models by name: small CIFAR ResNets of our own, everything else from timm, torchvision or the user."""
from .build import OWN, build, check

__all__ = ["OWN", "build", "check"]

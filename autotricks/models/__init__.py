"""Models and weights by name: small CIFAR ResNets of our own, everything else from timm, torchvision or the user."""
from .build import OWN, build, check
from .published import Pin, Published, cached, fetch, load_weights, published

__all__ = ["OWN", "Pin", "Published", "build", "cached", "check", "fetch", "load_weights", "published"]

"""One label an image."""
from .task import CLASSIFICATION

__all__ = ["CLASSIFICATION"]

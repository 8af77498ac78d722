"""Objects to be found: boxes with classes."""
from .task import DETECTION

__all__ = ["DETECTION"]

"""Any number of labels an image."""
from .task import MULTILABEL

__all__ = ["MULTILABEL"]

"""The one shared trainer: folds a plan's tricks into callables and trains. Pure torch."""
from .trainer import Trainer

__all__ = ["Trainer"]

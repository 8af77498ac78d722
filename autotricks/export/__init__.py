"""What a search hands over: bundle files and weights, graphs for production, a training script."""
from .bundle import BUNDLE, WEIGHTS, copy, read_weights, text, weights_of, write

__all__ = ["BUNDLE", "WEIGHTS", "copy", "read_weights", "text", "weights_of", "write"]

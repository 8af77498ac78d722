"""What a search hands over: bundle files and weights."""
from .bundle import BUNDLE, WEIGHTS, copy, read_weights, text, weights_of, write

__all__ = ["BUNDLE", "WEIGHTS", "copy", "read_weights", "text", "weights_of", "write"]

"""Spaces: YAML text to a checked Space, and a Space to the bundles drawn from it."""
from .load import find_file, load_bundle_file, load_space
from .space import Entry, Pick, Space

__all__ = ["Entry", "Pick", "Space", "find_file", "load_bundle_file", "load_space"]

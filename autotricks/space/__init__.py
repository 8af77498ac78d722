"""Spaces: YAML text to a checked Space, and a Space to the bundles drawn from it. Imported when first used."""
from importlib import import_module
from typing import Any

__all__ = ["Entry", "Pick", "Space", "find_file", "load_bundle_file", "load_space"]
_WHERE = {"Entry": "space", "Pick": "space", "Space": "space", "find_file": "files", "load_bundle_file": "load",
          "load_space": "load"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'autotricks.space' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)

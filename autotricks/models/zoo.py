"""The names of timm's and torchvision's models, read from their source: importing these libraries takes seconds."""
from __future__ import annotations

import difflib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = ("timm", "torchvision")
_ENTRY = re.compile(r"^@register_model(?:\(\))?\n(?:@.*\n|[ )].*\n)*def (\w+)", re.MULTILINE)
_RENAMED = re.compile(r"^register_model_deprecations\(__name__, \{(.*?)^\}\)", re.MULTILINE | re.DOTALL)


@cache
def names(library: str) -> frozenset[str]:
    """Return the models of an installed library, those with an old name too; nothing where it is not installed."""
    package = find_spec(library)
    folders = [Path(folder) / "models" for folder in (package.submodule_search_locations or [] if package else [])]
    texts = [path.read_text("utf-8") for folder in folders for path in folder.glob("*.py")]
    renamed = [name for text in texts for block in _RENAMED.findall(text)
               for name in re.findall(r"^\s*['\"]([\w.]+)['\"]\s*:", block, re.MULTILINE)]
    return frozenset([name for text in texts for name in _ENTRY.findall(text)] + renamed)


def problem(library: str, name: str) -> str | None:
    """Return one line where the library has no such model, with the names that are nearest."""
    known = names(library)
    if not known or name in known:
        return None
    near = difflib.get_close_matches(name, sorted(known), 3)
    hint = (f"Did you mean {' or '.join(f'{library}:{word}' for word in near)}?" if near else
            f"{library} knows {len(known)} models.")
    return f"model.name: {library} has no model {name!r}. {hint}"

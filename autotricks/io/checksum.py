"""Checksums: a line at the top of a text file that says whether the rest is as it was written."""
from __future__ import annotations

import hashlib
import re

CHANGED = "changed since it was written: its checksum differs. Restore it; if you changed it, drop its line '# check:'."
_HEAD = rb'\A(\{\n|(?:# (?!check: )[^\n]*\n)*)'       # a JSON object over several lines, or the comment above YAML
_CHECK = re.compile(_HEAD + rb'(?: "check": "|# check: )([0-9a-f]{16})(?:",)?\n')


def stamped(content: bytes) -> bytes:
    """Return a text with its checksum: JSON takes a first key, YAML the last line of the comment above it."""
    head = re.match(_HEAD, content)
    assert head
    line = b' "check": "%s",\n' if head[1] == b"{\n" else b"# check: %s\n"
    return head[1] + line % _digest(content) + content[head.end():]


def damaged(content: bytes) -> bool:
    """Return whether a text has a checksum that is not its own; one that has none is taken as it is."""
    content = content.replace(b"\r\n", b"\n")      # as version control and editors may write line ends
    match = _CHECK.match(content)
    return match is not None and _digest(match[1] + content[match.end():]) != match[2]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest()[:16].encode()

"""What a person sees of a space that was written for data."""
from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...workflows import init as workflow
from .search import to_json

WIDTH = 11


def init(source: str, out: Path | None, overrides: Sequence[str], force: bool, as_json: bool, trust: bool) -> None:
    """Write a space for a source, and print what it holds, why, and which commands follow."""
    written = workflow.init(source, out, overrides, force, trust)
    proposal = written.proposal
    if as_json:
        to_json({"out": written.path, "base": proposal.base, "why": proposal.why, "sections": proposal.sections,
                 "reasons": proposal.reasons, "notices": written.notices, "absent": proposal.absent,
                 "next": [*_commands(written, trust)]})
        return
    for notice in written.notices:
        print(notice)
    print(f"{written.path}: as {proposal.base}, {proposal.why}")
    for key, reason in proposal.reasons.items():
        print(f"  {key:<{WIDTH}} {reason}")
    if proposal.absent:
        print("Published weights would help photographs like these, and are not on this machine. Where there is a "
              f"network: {shlex.join(['autotricks', 'fetch', *proposal.absent])}, then init again with --force.")
    for word, command in zip(("Next:", "     "), _commands(written, trust), strict=True):
        print(f"{word} {command}")


def _commands(written: workflow.Written, trust: bool) -> Iterator[str]:
    more = ["--trust"] * trust
    yield shlex.join(["autotricks", "check", str(written.path), *more])
    yield shlex.join(["autotricks", "search", "--space", str(written.path), *more])

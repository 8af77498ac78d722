"""Checkpoints: one dict out, one dict in; atomic, with a checksum that is verified before use."""
from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from ..errors import RunError
from ..io.files import write_atomic

MAGIC = b"autotricks checkpoint 1\n"


def save(state: dict[str, Any], path: Path) -> None:
    """Write a state to `path`, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    write_atomic(path, MAGIC + hashlib.sha256(payload).digest() + payload)


def load(path: Path) -> dict[str, Any]:
    """Read a state that `save` wrote.

    Raises:
        RunError: When the file is missing, cut short or changed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: the checkpoint cannot be read: {error.strerror}.") from error
    digest = content[len(MAGIC):len(MAGIC) + 32]
    payload = content[len(MAGIC) + 32:]
    if not content.startswith(MAGIC) or hashlib.sha256(payload).digest() != digest:
        raise RunError(f"{path}: the checkpoint is damaged; its checksum does not match. Train again from the start.")
    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state


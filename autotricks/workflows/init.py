"""Init: look at data and write a space for them."""
from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..data import survey, understood, understood_as
from ..errors import DataError, InputError
from ..io.files import ensure_folder, write_atomic
from ..models import cached, published
from ..space.load import load_data_section, load_space
from ..space.proposal import Machine, Proposal, propose, space_name
from ..system.workers import cores


@dataclass(frozen=True)
class Written:
    """A space that was written.

    Args:
        path: Where.
        proposal: What it holds.
        facts: Of the data, from `data.survey`.
        notices: What a reader should know of the data, a line each.
    """

    path: Path
    proposal: Proposal
    facts: Mapping[str, Any]
    notices: tuple[str, ...]


def init(source: str, out: Path | None = None, overrides: Sequence[str] = (), force: bool = False,
         trust: bool = False) -> Written:
    """Look at every image of a source and write a space for them, which can be searched as it is.

    Args:
        source: As a space names it.
        out: The file; None: the source's name with `.yaml`, in the working directory.
        overrides: `data.key=value`, which are kept in the file.
        force: Whether a file that is there is written over.
        trust: Whether a source of the form `my.module:function` may be imported.

    Raises:
        InputError: When the source or an override is none, training would refuse the data, or the file is there.
    """
    data = load_data_section(source, overrides)
    name = space_name(source)
    path = out or Path(f"{name}.yaml")
    if path.exists() and not force:
        raise InputError(f"{path}: is there already. Name another file with --out, or write over it with --force.")
    ensure_folder(path.parent)
    if "task" not in data.model_fields_set:
        data = data.model_copy(update={"task": understood_as(data.settings(), trust).task})
    facts = survey(data.settings(), trust)
    if not facts["usable"]:
        raise DataError(facts["problems"])
    proposal = propose(facts, data, Machine(cores(), torch.cuda.device_count(), _held))
    notices = tuple(_notices(facts))
    given = [word for text in overrides for word in ("--set", text)]
    header = _header(facts, proposal, shlex.join(["autotricks", "init", source, *given]))
    write_atomic(path, proposal.text(name, [*header, *notices]).encode())
    load_space(path, (), trust)
    return Written(path, proposal, facts, notices)


def _held(model: str) -> bool:
    return cached(published(model))


def _header(facts: Mapping[str, Any], proposal: Proposal, command: str) -> Iterator[str]:
    train = facts["counts"]["train"]
    what = " objects" if facts["objects"] else ""
    splits = ", ".join(f"{name} {count:,}" for name, count in facts["split_images"].items())
    yield (f"{facts['images']:,} images of {len(facts['classes']):,} classes: {splits}; a class has {min(train):,} to "
           f"{max(train):,}{what} in train.")
    yield f"Written by: {command}. It begins as {proposal.base}: {proposal.why}."


def _notices(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader should know of the data."""
    yield from understood(facts)
    for pair, count in facts["duplicates"]["across"].items():
        first, second = pair.split("_")
        yield (f"images of {second} that are, pixel for pixel, in {first} too: {count:,}, so that figures on {second} "
               f"flatter; data.duplicates: drop takes them out of {first}")

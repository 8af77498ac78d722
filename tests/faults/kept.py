"""What must hold of a run's folder after any fault."""
from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from autotricks.runs import folder as folders
from autotricks.runs.ledger import read

from ..search import real


def lines(folder: Path, name: str = folders.LEDGER) -> list[dict]:
    path = folder / name
    return read(path)[0] if path.exists() else []


def ledger_goes_on(before: list[dict], folder: Path) -> None:
    """All lines are there still; no trial that had ended was begun again; nothing is there twice."""
    now = lines(folder)
    assert now[:len(before)] == before
    ended = {line["trial"] for line in before if line["kind"] == "end"}
    assert not ended & {line.get("trial") for line in now[len(before):]}
    once = Counter((line["kind"], line["trial"], line.get("rung")) for line in now if line["kind"] in ("rung", "end"))
    assert set(once.values()) <= {1}
    trained = Counter(line["hash"] for line in lines(folder, "confirm.jsonl"))
    assert set(trained.values()) <= {1}


def as_unbroken(folder: Path, whole: Path) -> None:
    """A run came to the same as one without a fault: trials, champion and confirmation, byte by byte."""
    assert real.story(folder) == real.story(whole)
    assert (folder / "champion.safetensors").read_bytes() == (whole / "champion.safetensors").read_bytes()
    if (whole / "confirm.json").exists():
        assert json.loads((folder / "confirm.json").read_text()) == json.loads((whole / "confirm.json").read_text())

"""`trials.csv`: one row a trial, for spreadsheets and notebooks."""
from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from ..io.files import write_atomic
from .ledger import TrialRecord

_FORMULA = ("=", "+", "-", "@", "\t", "\r")      # with which a text begins that spreadsheets calculate


def rows(trials: list[TrialRecord]) -> list[dict[str, Any]]:
    """Return one flat row for each trial: how far it came, at what cost, its figures, its tricks' parameters."""
    return [{"trial": trial.number, "label": trial.label, "why": trial.why, "end": trial.end or "",
             "reason": trial.reason,
             "budget": trial.rungs[-1]["budget"] if trial.rungs else 0, "epochs_spent": trial.epochs,
             "seconds": round(sum(line["seconds"] for line in trial.rungs), 3),
             "micro_batches": trial.rungs[-1].get("micro_batches", 1) if trial.rungs else 1, "hash": trial.hash,
             **(trial.rungs[-1]["metrics"] if trial.rungs else {}), **flat(trial.bundle)} for trial in trials]


def flat(bundle: dict[str, Any]) -> dict[str, Any]:
    """Return a bundle document as `mixup.alpha: 0.2`; a trick without parameters as `cosine: True`."""
    result: dict[str, Any] = {}
    for name, values in bundle["tricks"].items():
        result.update({f"{name}.{key}": value for key, value in values.items()} or {name: True})
    return result


def write(path: Path, trials: list[TrialRecord]) -> None:
    """Write the table, whole or not at all; no text in it is a formula."""
    table = [{cell(name): cell(value) for name, value in row.items()} for row in rows(trials)]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(dict.fromkeys(name for row in table for name in row)), restval="")
    writer.writeheader()
    writer.writerows(table)
    write_atomic(path, file.getvalue().encode())


def cell(value: Any) -> Any:
    """Return a cell that a spreadsheet shows as it is: the apostrophe says that it is text."""
    return f"'{value}" if not isinstance(value, (int, float)) and str(value).startswith(_FORMULA) else value

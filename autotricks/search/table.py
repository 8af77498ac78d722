"""`trials.csv`: one row a trial, for spreadsheets and notebooks."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from .ledger import TrialRecord


def rows(trials: list[TrialRecord]) -> list[dict[str, Any]]:
    """Return one flat row for each trial: how far it came, at what cost, its figures, its tricks' parameters."""
    return [{"trial": trial.number, "label": trial.label, "end": trial.end or "",
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
    """Write the table."""
    table = rows(trials)
    names = list(dict.fromkeys(name for row in table for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(table)

"""The champion: its tricks with what they do and where they come from, and how to train it."""
from __future__ import annotations

import inspect
import re
from typing import Any

from ..runs.evidence import Evidence
from ..tricks.catalog import catalog
from .html import Html, command, joined, table, tag

SHORT = 12      # digits of a checksum or revision


def champion(evidence: Evidence) -> Html:
    """Return the bundle's table and the command that trains it."""
    document = evidence.champion or (evidence.best.bundle if evidence.best else None)
    if not document:
        return tag("p", None, "There is no champion: no trial was trained to the end.")
    before = evidence.baseline.bundle["tricks"] if evidence.baseline else {}
    rows = [(tag("b", None, name), _about(name), values_of(values), _against(name, values, before))
            for name, values in document["tricks"].items()]
    gone = [name for name in before if name not in document["tricks"]]
    training = document.get("training", {})
    result = document.get("result", {})
    facts = f"{document['model']['name']}, {training.get('epochs')} epochs, batches of {training.get('batch_size')}"
    seed = f", seed {training.get('seed')}" if evidence.champion else ""
    return joined(
        tag("p", None, f"Trial {result['trial']}: " if "trial" in result else "", facts + seed + "."),
        tag("p", None, f"Begins with the weights of {begun(document)}.") if begun(document) else "",
        table(("Trick", "What it does", "Parameters", "Against the baseline"), rows, "tricks"),
        tag("p", {"class": "note"}, f"In the baseline only: {', '.join(gone)}.") if gone else "",
        joined(tag("h3", None, "Train it"), command(f"autotricks train {evidence.typed('champion.yaml')}"), tag(
            "p", {"class": "note"}, "The same seed on the same kind of machine repeats the weights in "
            "champion.safetensors. Name other data with --data.")) if evidence.champion else "")


def begun(document: dict[str, Any]) -> str:
    """Return in words which published weights a bundle begins with; empty where it begins with none."""
    weights = document.get("weights") or {}
    if not weights:
        return ""
    revision = f", revision {str(weights.get('revision'))[:SHORT]}" if weights.get("revision") else ""
    return (f"{weights.get('source')}{revision}, SHA-256 {str(weights.get('sha256'))[:SHORT]}, licence "
            f"{weights.get('licence') or 'not stated'}")


def about(name: str) -> tuple[str, str, str]:
    """Return what a trick does, its paper and the paper's address; nothing of a trick that is not installed here."""
    kind = catalog().get(name)
    text = (inspect.getdoc(kind) or "") if kind else ""
    paper = re.search(r"Paper: (.+?),? (https?://[^\s,]+)", text)
    return text.partition("\n")[0].replace("`", ""), paper[1] if paper else "", paper[2].rstrip(".") if paper else ""


def _about(name: str) -> Html:
    what, paper, address = about(name)
    return joined(what, *([" ", tag("a", {"href": address}, paper)] if paper else []))


def values_of(values: dict[str, Any]) -> str:
    """Return a trick's parameters in one line."""
    return ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in values.items() if value != "") or "–"


def _against(name: str, values: dict[str, Any], before: dict[str, Any]) -> str:
    """Return how a trick differs from the baseline's."""
    if name not in before:
        return "new"
    other = {key: before[name].get(key) for key in values if before[name].get(key) != values[key]}
    return f"there with {values_of(other)}" if other else "the same"

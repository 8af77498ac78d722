"""What was found, line by line, so that it is kept if the machine is taken away; and as a table."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from machine import Row, SeedStatistics, Target, document

HEADING = ("piece", "setting", "figure", "median", "95% interval", "n", "target", "verdict", "note")


def append(file: Path, kind: str, line: Mapping[str, Any]) -> None:
    """Add a line of JSON to the file, which is closed when this returns."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps({"kind": kind, **line}) + "\n")


def append_row(file: Path, piece: str, row: Row) -> None:
    """Add a figure."""
    append(file, "row", {"piece": piece, **document(row)})


def read(file: Path) -> list[dict[str, Any]]:
    """Return the lines of the last run in the file; a last line that was cut short is left out."""
    lines = list(_parsed(file.read_text(encoding="utf-8").splitlines()))
    begins = [place for place, line in enumerate(lines) if line["kind"] == "begin"]
    return lines[begins[-1]:] if begins else lines


def _parsed(texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in texts:
        try:
            yield json.loads(text)
        except ValueError:
            continue


def rows(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, Row]]:
    """Return each figure with its piece."""
    return [(line["piece"], _row(line)) for line in lines if line["kind"] == "row"]


def _row(line: Mapping[str, Any]) -> Row:
    figure = SeedStatistics(**line["figure"]) if line["figure"] else None
    target = Target(**line["target"]) if line["target"] else None
    return Row(line["setting"], line["what"], figure, line["unit"], target, line["note"], line["details"])


def bounds(lines: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the device does at best, by name."""
    return {row.what: row.figure.median for piece, row in rows(lines) if piece == "bounds" and row.figure}


def table(lines: list[dict[str, Any]]) -> str:
    """Return everything as Markdown: figures, then what became of each piece, then tracebacks."""
    ends = [line for line in lines if line["kind"] == "piece"]
    parts = [_heading(lines), _table(HEADING, [_cells(piece, row) for piece, row in rows(lines)]),
             _table(("piece", "what became of it", "seconds", "of"),
                    [(end["piece"], end["outcome"], f"{end['seconds']:.0f}", f"{end['limit']:.0f}") for end in ends])]
    parts += [f"`{end['piece']}`:\n\n```\n{end['traceback'].strip()}\n```" for end in ends if end["traceback"]]
    parts += [f"`{piece}`, {row.setting}, {row.what}:\n\n```\n{row.details['traceback'].strip()}\n```"
              for piece, row in rows(lines) if "traceback" in row.details]
    return "\n\n".join(parts) + "\n"


def _heading(lines: Iterable[Mapping[str, Any]]) -> str:
    begin = next((line for line in lines if line["kind"] == "begin"), {})
    here = next((row.details["machine"] for _, row in rows(lines) if "machine" in row.details), {})
    versions = ", ".join(f"{name} {number}" for name, number in here.get("versions", {}).items())
    said = [here.get("gpu") or here.get("processor", "machine unknown"), f"Python {here.get('python', 'unknown')}",
            versions, f"{begin.get('minutes', 0):g} minutes", "quick: concludes nothing" * bool(begin.get("quick"))]
    return f"# {', '.join(filter(None, said))}"


def _table(heading: tuple[str, ...], cells: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *cells]
    return "\n".join(f"| {' | '.join(text.replace('|', '/') for text in line)} |" for line in lines)


def _cells(piece: str, row: Row) -> tuple[str, ...]:
    if row.figure is None:
        return (piece, row.setting, row.what, "", "", "", str(row.target or ""), "", row.note)
    median, low, high = (short(value) for value in (row.figure.median, row.figure.low, row.figure.high))
    return (piece, row.setting, row.what, f"{median} {row.unit}", f"{low} to {high}", str(row.figure.repeats),
            str(row.target or ""), row.verdict, row.note)


def short(value: float) -> str:
    """Return a figure with three or four digits."""
    if math.isfinite(value) and abs(value) >= 1e6:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}" if abs(value) >= 10 else f"{value:.3f}"

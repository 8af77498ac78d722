"""What a person sees of an ablation: effects as a forest, and the surrogate's view in a table of its own."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .search import clock

if TYPE_CHECKING:
    from ...workflows.ablate import Ablation, Effect

TITLES = {"without": "Champion less the champion without it", "alone": "Baseline with it alone less the baseline",
          "pair": "What the one brings beside the other, less what it brings without it"}
FOREST = 16
LEAST = 8
GAP = 2
TOP = 10    # a forest's width, the least of it and of a name, between columns; weights


def ablated(result: Ablation, folder: Path, as_json: bool) -> None:
    """Print what each trick brings."""
    if as_json:
        print(json.dumps(result.document(), indent=1))
        return
    console = Console(highlight=False)
    console.print(f"\n[bold]{escape(result.metric)}[/bold] on validation, {len(result.seeds)} fresh seeds:")
    for name, spread in ((f"champion, trial {result.trial}", result.champion), ("baseline", result.baseline)):
        console.print(f"  {name:<22}{spread.mean:.4f} +- {spread.deviation:.4f}")
    for kind, title in TITLES.items():
        rows = [row for row in result.effects if row.kind == kind]
        if rows:
            console.print(f"\n[bold]{title}[/bold]")
            console.print(_table(rows, console.width))
        for row in rows:
            if row.note:
                console.print(f"  [dim]{row.trick}: {row.note}[/dim]")
    joint = f"{result.comparisons} intervals" + (f", and of {result.pair_comparisons} pairs," if result.pair_comparisons
                                                 else "")
    console.print(f"\nMore is better. The {joint} hold together with 95%.\nMethod: {result.method}.")
    if result.importance:
        console.print(f"\n[bold]Importance[/bold] by {result.importance.method}: {result.importance.meaning}.")
        console.print(_importance(result))
    else:
        console.print("\nImportance: too few trials for a surrogate.")
    console.print(f"\nAll of it: {folder}/ablation.json", soft_wrap=True)


def verdict(effect: Effect) -> str:
    """Return in a word what the interval says."""
    if effect.low is None or effect.high is None:
        return "unknown"
    if effect.low == effect.high == 0.0 and effect.seeds > 1:
        return "nothing"
    if effect.low > 0:
        return "helps"
    return "harms" if effect.high < 0 else "unclear"


def forest(effect: Effect, low: float, high: float, across: int = FOREST) -> str:
    """Return an interval as a line of text on the scale from `low` to `high`: `--o--`, and `|` where zero is."""
    def column(value: float) -> int:
        return round((min(max(value, low), high) - low) / (high - low) * (across - 1)) if high > low else 0

    line = [" "] * across
    if effect.mean is None or not across:
        return ""
    left = column(effect.low) if effect.low is not None and effect.low > float("-inf") else 0
    right = column(effect.high) if effect.high is not None and effect.high < float("inf") else across - 1
    line[left:right + 1] = "-" * (right - left + 1)
    line[column(0.0)] = "|"
    line[column(effect.mean)] = "o"
    return "".join(line)


def counting(as_json: bool) -> Callable[[int, int], None]:
    """Return what prints now and then how many trainings are done, and how long the rest will take."""
    started = time.monotonic()
    first_done = 0
    last_tenth = -1

    def on_progress(done: int, total: int) -> None:
        nonlocal started, first_done, last_tenth
        if total and (last_tenth < 0 or done * 10 // total != last_tenth) and not as_json:
            if last_tenth < 0:
                started = time.monotonic()
                first_done = done
            spent = time.monotonic() - started
            left = (f", about {clock(spent / (done - first_done) * (total - done))} left"
                    if first_done < done < total else "")
            print(f"fresh seeds: {done}/{total} trainings{left}", flush=True)
            last_tenth = done * 10 // total if done < total else -1
    return on_progress


def _table(rows: Sequence[Effect], room: int) -> Table:
    """Return the effects; no figure is cut, however narrow the room: the forest gives way, then the names fold."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    ends = [end for row in rows for end in (row.mean, row.low, row.high) if end is not None and abs(end) < float("inf")]
    low = min([0.0, *ends])
    high = max([0.0, *ends])
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(("effect", "95% interval", "time", ""), *cells, strict=True)]
    name = max(len(row.trick) for row in rows)
    taken = sum(widths) + GAP * 5
    across = min(FOREST, max(LEAST, room - taken - name)) if room >= taken + 2 * LEAST else 0
    table.add_column("", width=max(LEAST, min(name, room - taken - across)), overflow="fold")
    for title, width in zip(("effect", "95% interval"), widths):
        table.add_column(title, justify="right", no_wrap=True, min_width=width)
    table.add_column("", no_wrap=True, min_width=across)
    table.add_column("time", justify="right", no_wrap=True, min_width=widths[2])
    table.add_column("", no_wrap=True, min_width=widths[3])
    for row, (mean, between, ratio, word) in zip(rows, cells):
        style = {"helps": "green", "harms": "red"}.get(word, "")
        table.add_row(row.trick, mean, between, forest(row, low, high, across), ratio, word, style=style)
    return table


def _cells(row: Effect) -> tuple[str, str, str, str]:
    """Return mean, interval, ratio of times and verdict as they are printed."""
    return ("-" if row.mean is None else f"{row.mean:+.4f}",
            "-" if row.low is None or row.high is None else f"{row.low:+.4f} to {row.high:+.4f}",
            "-" if row.seconds_ratio is None else f"x{row.seconds_ratio:.2f}", verdict(row))


def _importance(result: Ablation) -> Table:
    assert result.importance is not None
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", min_width=24)
    table.add_column("share", justify="right")
    table.add_column("trials with it", justify="right")
    for weight in result.importance.weights[:TOP]:
        table.add_row(weight.name, f"{weight.share:.0%}", str(weight.trials))
    return table

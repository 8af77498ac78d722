"""What a person sees of a confirmation."""
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from .confirm import Confirmation


def verdict(found: Confirmation) -> list[str]:
    """Return in a few lines what fresh seeds said."""
    best, base, kept = found.test[found.champion], found.test[found.baseline], found.kept
    low, high = found.difference.low, found.difference.high
    place = "" if found.metric.startswith("train/") else ", on test"
    lines = [f"\nConfirmed with {len(found.seeds)} fresh seeds{place}: [bold]{found.verdict}[/bold].",
             f"  {found.metric} {best.mean:.4f} +- {best.deviation:.4f}, baseline {base.mean:.4f} +- "
             f"{base.deviation:.4f}"]
    if found.champion != found.baseline:
        lines.append(f"  difference {found.difference.mean:+.4f}, 95% interval {low:+.4f} to {high:+.4f} "
                     f"({found.method})")
    if kept and found.champion != found.baseline:
        lines.append(f"  {kept.metric} on test {kept.difference.mean:+.4f}, 95% interval {kept.difference.low:+.4f} to "
                     f"{kept.difference.high:+.4f}; {kept.within:g} may be lost")
    return [*lines, f"  The search's score, {found.searched:.4f}, was {abs(found.optimism):.4f} too "
            f"{'good' if found.optimism >= 0 else 'modest'} (validation, over the same seeds)."]


def confirmed(found: Confirmation, folder: Path, as_json: bool) -> None:
    """Print what fresh seeds said of a finished search."""
    if as_json:
        print(json.dumps(found.document(), indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for number, spread in sorted(found.validation.items(), key=lambda item: -item[1].mean):
        name = "baseline" if number == found.baseline else f"trial {number}"
        console.print(f"{name:<12} validation {found.metric} {spread.mean:.4f} +- {spread.deviation:.4f}")
    for line in verdict(found):
        console.print(line)
    kept = found.kept
    if kept and kept.lost:
        names = ", ".join(f"trial {number}" for number in kept.lost)
        console.print(f"Lose more {kept.metric} than {kept.within:g} on validation: {names}")
    console.print(f"\nAll of it: {folder}/confirm.json\nReport:    {folder}/report.html")


def counting(as_json: bool) -> Callable[[int, int], None]:
    """Return what prints how many trainings with fresh seeds are done."""
    def told(done: int, total: int) -> None:
        if not as_json:
            print(f"fresh seeds: {done}/{total} trainings", flush=True)
    return told

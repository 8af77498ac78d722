"""What a person sees of a confirmation."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from ...report.html import words
from ...runs.folder import DATA, LEDGER, read_json
from ...runs.ledger import read, records
from ...tasks import metric

if TYPE_CHECKING:
    from ...stats.test_results import ClassResults
    from ...workflows.confirm import Confirmation

LISTED = 30         # classes

def verdict(result: Confirmation) -> list[str]:
    """Return in a few lines what confirmation said."""
    best = result.test[result.champion]
    base = result.test[result.baseline]
    kept = result.kept
    low = result.difference.low
    high = result.difference.high
    where = "" if result.metric.startswith("train/") else ", on test"
    lines = [f"\nConfirmed {'over' if result.folds else 'with'} {result.over}{where}: [bold]{result.verdict}[/bold].",
             f"  {escape(result.metric)} {best.mean:.4f} +- {best.deviation:.4f}, baseline {base.mean:.4f} +- "
             f"{base.deviation:.4f}"]
    if result.champion != result.baseline:
        lines.append(f"  difference {result.difference.mean:+.4f}, 95% interval {low:+.4f} to {high:+.4f} "
                     f"({result.method})")
    lines += addition(result)
    if kept and result.champion != result.baseline:
        lines.append(f"  {escape(kept.metric)} on test {kept.difference.mean:+.4f}, 95% interval "
                     f"{kept.difference.low:+.4f} to {kept.difference.high:+.4f}; {kept.within:g} may be lost")
    far = f"was {abs(result.optimism):.4f} too {'good' if result.optimism > 0 else 'modest'}"
    each = "folds" if result.folds else "seeds"
    return [*lines, *further(result), f"  What the search thought of it, {result.searched:.4f}, "
            f"{far if abs(result.optimism) >= 5e-5 else 'held'} (validation, over the same {each})."]


def scores(result: Confirmation, score: float | None) -> str:
    """Return in a line the values that the champion's score has on the way, and which is which.

    Args:
        result: Of the confirmation.
        score: Of its trial in the search, which the live line shows; None where nobody knows.
    """
    fresh = result.validation[result.champion]
    one = "" if score is None else f"{score:.4f} of its one training in the search, "
    return (f"  Its score has several values: {one}{result.searched:.4f} as the search judged it by all trials, "
            f"{fresh.mean:.4f} over fresh seeds, {fresh.values[0]:.4f} with seed {result.seeds[0]}, which "
            "champion.yaml holds.")


def _searched(result: Confirmation, folder: Path) -> float | None:
    """Return what the champion's training in the search scored; None where the ledger is gone."""
    if not (folder / LEDGER).exists():
        return None
    trial = next(trial for trial in records(read(folder / LEDGER)[0]) if trial.number == result.champion)
    name = f"val/{result.metric}"
    return trial.score(name if name in trial.figures else result.metric)


def addition(result: Confirmation) -> list[str]:
    """Return what the search added to the best bundle that it started from."""
    added = result.addition
    if added is None:
        return []
    span = "" if added.start == result.champion else (
        f", {added.difference.mean:+.4f}, 95% interval {added.difference.low:+.4f} to {added.difference.high:+.4f}")
    return [f"  The search: [bold]{escape(added.verdict)}[/bold]{span}"]


def further(result: Confirmation) -> list[str]:
    """Return what confirmation measured beside the search's figure: by class frequency, and how far to believe it."""
    best = result.figures[result.champion]
    base = result.figures[result.baseline]
    groups = [f"{name.replace('_', '-')} {best[name]:.4f} (baseline {base[name]:.4f})"
              for name in ("many_shot", "medium_shot", "few_shot") if name in best]
    lines = [f"  {', '.join(groups)}"] if groups else []
    one, other = (result.classes.get(number) for number in (result.champion, result.baseline))
    ours, theirs = (result and result.calibration for result in (one, other))
    if ours and theirs:
        lines.append(f"  calibration error {ours.error:.4f} (baseline {theirs.error:.4f}), with temperature scaling "
                     f"{ours.scaled_error:.4f} ({theirs.scaled_error:.4f})")
    return [*lines, *lost(one, other)]


def lost(one: ClassResults | None, other: ClassResults | None) -> list[str]:
    """Return what each kind of error costs champion and baseline, where they find objects."""
    if not (one and other and one.objects and other.objects):
        return []
    kinds = [f"{kind} {ours.cost:.4f}" + (f" ({other.objects.mistakes[kind].cost:.4f})" if other is not one else "")
             for kind, ours in one.objects.mistakes.items()]
    whose = "" if other is one else " (baseline's)"
    return [f"  average precision at .5 lost to errors, by kind{whose}: {', '.join(kinds)}"]


def on_test(result: Confirmation) -> list[str]:
    """Return one line for each figure on test, champion against baseline."""
    best = result.figures[result.champion]
    base = result.figures[result.baseline]
    width = max(len(metric(name).words) for name in best)
    return ["\nOn test, the mean over seeds:", f"  {'':<{width}}  champion  baseline"] + [
        f"  {metric(name).words:<{width}}  {value:8.4f}  {base[name]:8.4f}" for name, value in best.items()]


def classes(result: Confirmation, names: Sequence[str]) -> list[str]:
    """Return one line a class, champion against baseline; where there are too many, those that change most."""
    one, other = (result.classes.get(number) for number in (result.champion, result.baseline))
    if not one or not other:
        return []
    figure = next(iter(one.by_class))
    both = zip(names, one.by_class[figure], other.by_class[figure], strict=True)
    rows = [(name, best, base) for name, best, base in both
            if best and base]
    most = sorted(rows, key=lambda row: -abs(row[1].mean - row[2].mean))[:LISTED]
    width = max(len(name) for name, _, _ in most)
    more = f", the {LISTED} of {len(rows)} that change most; the report has all" if len(rows) > LISTED else ""
    head = [f"\n{words(figure).capitalize()} of each class on test{more}:",
            f"  {'':<{width}}  champion            baseline"]
    return head + [
        f"  {name:<{width}}  {best.mean:.4f} +- {best.deviation:.4f}    {base.mean:.4f} +- {base.deviation:.4f}"
        for name, best, base in rows if (name, best, base) in most]


def confirmed(result: Confirmation, folder: Path, as_json: bool) -> None:
    """Print what fresh seeds said of a finished search."""
    if as_json:
        print(json.dumps(result.document(), indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    for number, spread in sorted(result.validation.items(), key=lambda item: -item[1].mean):
        name = "baseline" if number == result.baseline else f"trial {number}"
        console.print(f"{name:<12} validation {escape(result.metric)} {spread.mean:.4f} +- {spread.deviation:.4f}")
    names = read_json(folder / DATA, "classes")["classes"]
    plain = [*on_test(result), *classes(result, names)]
    for line in [*verdict(result), scores(result, _searched(result, folder)), *map(escape, plain)]:
        console.print(line)
    kept = result.kept
    if kept and kept.lost:
        names = ", ".join(f"trial {number}" for number in kept.lost)
        console.print(f"Lose more {escape(kept.metric)} than {kept.within:g} on validation: {names}")
    console.print(f"\nAll of it: {folder}/confirm.json\nReport:    {folder}/report.html")


def counting(as_json: bool) -> Callable[[int, int], None]:
    """Return what prints how many trainings with fresh seeds are done."""
    def on_progress(done: int, total: int) -> None:
        if not as_json:
            print(f"fresh seeds: {done}/{total} trainings", flush=True)
    return on_progress

"""What a person sees of a search: the live table and the result."""
from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from shlex import join, quote
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ...core.reporting import End
from ...data import understood
from ...probes.duration import in_words
from ...space.load import LoadedSpace
from ...stats.verdict import BASELINE
from ...tasks import find as find_task
from ...tuning.workload import workload
from .confirmation import scores, verdict
from .progress import Progress

if TYPE_CHECKING:
    from ...runs.trial import Outcome, Trial
    from ...workflows.search import Opening

UNCONFIRMED = ("This is the best of many scores on validation data that the search has seen: expect less on new "
               "images.")
MAX_ROWS = 12     # trials in the live table
ENGINES = {"local": ", by processes of this machine (search.engine: ray takes Ray)", "ray": ", by Ray Tune"}


def to_json(content: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(content, indent=1, default=str))


class Lines:
    """Follows a search with one plain line for each trial that ends."""

    def __init__(self, loaded: LoadedSpace):
        self.started_at = time.monotonic()
        self._total = loaded.document.search.trials
        self._trainings = loaded.document.search.trainings
        self._pace = Progress(workload(loaded))
        self._objective = loaded.document.objective.objective()
        self._counted = find_task(loaded.document.data.task).counted
        self._sign = self._objective.sign
        self._metrics: dict[str, dict[str, float]] = {}     # of trials trained to the end
        self.best: float | None = None
        self.done = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Leave nothing open."""

    def on_start(self, folder: Path, opening: Opening) -> None:
        """Say what is searched, where it is kept and how long it takes."""
        self._pace = Progress(opening.work, opening.duration, opening.deadline)
        self.done = opening.work.ended
        for line in [describe(opening.facts, self._counted), *understood(opening.facts), *leaks(opening.facts)]:
            self._say(line)
        length = f"{self._total} trials"
        if self._trainings is not None:
            length = f"the epochs of {self._trainings:g} full trainings, at most {self._total} trials"
        self._say(f"{folder}: {length}{ENGINES.get(opening.engine, '')}")
        if opening.duration:
            self._say(f"Takes {opening.duration}")

    def started(self, trial: Trial) -> None:
        """Say nothing: a trial that begins is no news in a pipe."""

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Say nothing before the trial ends."""
        self._hear(trial, outcome)

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Print the trial's line."""
        self._count(trial, end, score)
        score_text = "      -" if score is None else f"{score:7.4f}"
        best = "-" if self.best is None else f"{self.best:.4f}"
        self._say(f"{self._progress()}  trial {trial.number:3d}  {end.value:<13} {score_text}  best {best}  "
                  f"{trial.label or trial.bundle}")
        self._explain(trial)

    def _explain(self, trial: Trial) -> None:
        """Say what a trial failed of."""
        if trial.reason:
            self._say(f"  trial {trial.number:3d}: {trial.reason}")

    def confirming(self, done: int, total: int) -> None:
        """Say how many trainings with fresh seeds are done."""
        self._pace.confirmed(done, total)
        if done in (0, total):
            self._say(f"fresh seeds: {done}/{total} trainings{self._left()}")

    def _left(self) -> str:
        """Return in words how long the rest takes, nothing where there is none or nobody knows."""
        left = self._pace.left()
        return f", about {in_words(left)} left" if left else ""

    def _progress(self) -> str:
        """Return how much of the search is done: trials, or full trainings where these are what ends it."""
        if self._trainings is None:
            return f"{self.done:4d}/{self._total}"
        return f"{self._pace.work.spent / self._pace.work.length:4.1f}/{self._trainings:g}"

    def _hear(self, trial: Trial, outcome: Outcome) -> None:
        self._pace.reached(outcome.epochs)
        if outcome.end is End.FINISHED:
            self._metrics[trial.label or str(trial.number)] = outcome.metrics

    def _count(self, trial: Trial, end: End, score: float | None) -> None:
        self.done += 1
        self._pace.ended()
        metrics = self._metrics.get(trial.label or str(trial.number), {})
        if end is End.FINISHED and score is not None and not self._objective.lost(
                metrics, self._metrics.get(BASELINE)):
            self.best = score if self.best is None else self._sign * max(self._sign * self.best, self._sign * score)

    def _say(self, text: str) -> None:
        print(text, flush=True)


class Quiet(Lines):
    """Follows a search without a word, where JSON is wanted."""

    def _say(self, text: str) -> None:
        """Print nothing."""


class LiveTable(Lines):
    """Follows a search with a live table: the trials at work and the best so far."""

    def __init__(self, loaded: LoadedSpace):
        super().__init__(loaded)
        self._rows: dict[int, tuple[str, int, float | None, str]] = {}
        self._live = Live(get_renderable=self._draw, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveTable:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Take the table off the screen; the result follows."""
        self._live.stop()

    def started(self, trial: Trial) -> None:
        """Show the trial as running."""
        self._rows[trial.number] = (trial.label or str(trial.bundle), 0, None, "running")

    def reached(self, trial: Trial, outcome: Outcome, budget: int, score: float | None) -> None:
        """Show how far it came."""
        self._hear(trial, outcome)
        self._rows[trial.number] = (trial.label or str(trial.bundle), budget, score, "running")

    def ended(self, trial: Trial, end: End, score: float | None) -> None:
        """Show why it ended."""
        self._count(trial, end, score)
        self._rows[trial.number] = (*self._rows[trial.number][:2], score, end.value)
        self._explain(trial)

    def _say(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False)

    def _draw(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, width in (("trial", 5), ("epochs", 6), ("score", 8)):
            table.add_column(name, justify="right", min_width=width)
        table.add_column("", min_width=13)
        table.add_column("tricks", no_wrap=True, overflow="ellipsis", ratio=1)
        running = [number for number, row in self._rows.items() if row[3] == "running"]
        ranked = sorted((number for number, row in self._rows.items() if row[3] == "finished" and row[2] is not None),
                        key=lambda number: -self._sign * (self._rows[number][2] or 0.0))
        others = [number for number in reversed(self._rows) if number not in running and number not in ranked]
        for number in [*ranked[:4], *running, *others][:MAX_ROWS]:
            name, budget, score, state = self._rows[number]
            best = state == "finished" and score == self.best
            plain = "" if state in ("running", "finished") else "dim"
            style = "bold green" if best else plain
            score_text = "" if score is None else f"{score:.4f}"
            table.add_row(str(number), str(budget or ""), score_text, state, name, style=style)
        return Group(table, Text(self._footer(), style="dim"))

    def _footer(self) -> str:
        elapsed = time.monotonic() - self.started_at
        best = "-" if self.best is None else f"{self.best:.4f}"
        whole = "trials" if self._trainings is None else f"full trainings, {self.done} trials"
        fresh = self._pace.fresh
        again = f"   fresh seeds {fresh[0]}/{fresh[1]}" if fresh else ""
        return f"{self._progress().strip()} {whole}   best {best}{again}   {clock(elapsed)} gone{self._left()}"


def view(loaded: LoadedSpace, as_json: bool) -> Lines:
    """Return what follows a search: JSON wants silence, a terminal the live table, a pipe plain lines."""
    if as_json:
        return Quiet(loaded)
    return LiveTable(loaded) if sys.stdout.isatty() else Lines(loaded)


def clock(seconds: float) -> str:
    """Return a time as `42 s`, `3:05` or `1:02:03`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def describe(facts: Mapping[str, Any], counted: str) -> str:
    """Return a data set in one line; `counted` is what classes have many or few of."""
    counts = facts["counts"]["train"]
    images = facts["split_images"]
    shape = "x".join(str(side) for side in facts["image_shape"])
    bad = f", {len(facts['bad'])} bad files left out" if facts["bad"] else ""
    groups = f"{facts['groups']} groups, " if facts.get("groups") else ""
    what = "" if counted == "images" else f" {counted}"
    return (f"{facts['source']}: {len(facts['classes'])} classes, {groups}{shape}, train {images['train']} "
            f"({max(counts)} to {min(counts)}{what} a class), validation {images['validation']}, "
            f"test {images['test']} (set aside){bad}" + (", streamed" if facts.get("streamed") else ""))


def leaks(facts: Mapping[str, Any]) -> list[str]:
    """Return one line when images of validation or test are in train too."""
    copies = {name: count for name, count in facts["duplicates"].items() if count}
    if not copies:
        return []
    words = " and ".join(f"{count} {name.split('_')[1]}" for name, count in copies.items())
    return [f"{words} images are, pixel for pixel, in train too, so that figures on them flatter; "
            "--set data.duplicates=drop takes them out of train"]


def result(search_result: Any, loaded: LoadedSpace, as_json: bool) -> None:
    """Print what a search found, what it cost, and the next commands."""
    champion = search_result.champion
    metric = loaded.document.objective.metric
    if as_json:
        to_json({"folder": str(search_result.folder), "metric": metric, "trials": len(search_result.trials),
                 "baseline": search_result.baseline,
                 "best": champion.score if champion else None, "trial": champion.trial.number if champion else None,
                 "bundle": champion.trial.bundle.document() if champion else None, "epochs_spent": search_result.spent,
                 "share_of_full_training": search_result.share, "seconds": search_result.seconds,
                 "searching_seconds": search_result.searching, "warming_seconds": search_result.warming,
                 "training_seconds": search_result.training, "slots": search_result.slots,
                 "efficiency": search_result.efficiency,
                 "confirmation": search_result.confirmation.document() if search_result.confirmation else None,
                 "registered": search_result.standing, "notices": list(search_result.notices)})
        return
    console = Console(highlight=False, soft_wrap=True)
    ends = {end.value: sum(trial.end == end.value for trial in search_result.trials) for end in End}
    console.print(f"\n[bold]{len(search_result.trials)} trials in {clock(search_result.seconds)}[/bold]: "
                  + ", ".join(f"{count} {name}" for name, count in ends.items() if count))
    console.print(f"{search_result.spent:.0f} epochs spent, {search_result.share:.0%} of training every trial in full; "
                  f"{search_result.slots} trials at a time, {search_result.efficiency:.0%} of their time spent "
                  f"training, the first step after {search_result.warming:.1f} s")
    if champion:
        before = ("" if search_result.baseline is None or search_result.confirmation else
                  f"   (baseline {search_result.baseline:.4f}, {champion.score - search_result.baseline:+.4f})")
        what = "The best bundle" if search_result.confirmation else f"Best {escape(metric)} {champion.score:.4f}"
        console.print(f"\n[bold]{what}[/bold]{before}, trial {champion.trial.number}:")
        for use in champion.trial.bundle.uses:
            values = ", ".join(f"{name} {_short(value)}" for name, value in use.document().items())
            console.print(f"  {use.trick.name:<18} [dim]{values}[/dim]")
        if not champion.trial.bundle.uses:
            console.print("  no trick: plain training, with the task's own defaults")
        for line in _judged(search_result, metric):
            console.print(line)
    if search_result.standing:
        console.print(f"Registered: {search_result.standing}", markup=False)
    for notice in search_result.notices:
        console.print(f"[yellow]Note:[/yellow] {escape(notice)}")
    console.print(f"\nAll of it: {search_result.folder}\nReport:    {search_result.folder}/report.html")
    if champion:
        root = search_result.folder.parent
        words = ["autotricks", "ui", *([] if str(root) == "runs" else ["--root", str(root)])]
        console.print(f"Next:      autotricks train {quote(f'{search_result.folder}/champion.yaml')}\n           "
                      f"{join(words)}", markup=False)


def _judged(search_result: Any, metric: str) -> list[str]:
    """Return in lines what fresh seeds said of the champion, or that they were not asked."""
    confirmation = search_result.confirmation
    if not confirmation:
        return [UNCONFIRMED]
    trial = next(trial for trial in search_result.trials if trial.number == confirmation.champion)
    return [*verdict(confirmation), scores(confirmation, trial.score(metric))]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

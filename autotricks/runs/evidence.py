"""What a run's folder holds, read leniently: any file but the ledger may be missing, and leaves a gap."""
from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, TypeGuard

from ..core.objective import Objective
from ..errors import RunError, SpaceError
from ..io.checksum import damaged
from ..io.yaml_tree import LARGE, parse
from ..stats.verdict import counted
from ..tasks import TASKS, find, objective
from ..tasks.classification import CLASSIFICATION
from .folder import AGAIN, DATA, LEDGER, SPACE, VERSIONS
from .ledger import TrialRecord, read, records, searched, trial_of
from .pictures import PICTURES

CHAMPION = "champion.yaml"
CONFIRMED = "confirm.json"
ABLATION = "ablation.json"
LINES = 400
LEADING = 100       # trials that a figure shows, and how many of them are the best
Document = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """Everything that the report is made from.

    Args:
        folder: Of the run.
        trials: From the ledger.
        space: As resolved.
        data: Facts of the data; empty where the file is missing.
        champion: The bundle file; None without a champion.
        confirmed: What fresh seeds said; None before confirmation.
        ablated: What an ablation found; empty before it.
        ablation: Its rows of trick, kind, mean, low, high.
        versions: Of each sitting, oldest first.
        torn: Whether the ledger's last line was torn.
        damaged: Names of files that are not as they were written, and left out.
        again: Lines of the trainings after the search, for confirmation and ablation.
        pictures: Test images with what the champion found in them, where it finds objects.
    """

    folder: Path
    trials: tuple[TrialRecord, ...]
    space: Document
    data: Document
    champion: Document | None
    confirmed: Document | None
    ablated: Document
    ablation: tuple[Document, ...]
    versions: tuple[Document, ...]
    torn: bool
    damaged: tuple[str, ...] = ()
    again: tuple[Document, ...] = ()
    pictures: tuple[Document, ...] = ()

    @property
    def place(self) -> str:
        """The folder as commands name it: below the folder of all runs, such as `runs/long_tail-2026-11-22-001`."""
        whole = self.folder.resolve()
        return f"{whole.parent.name}/{whole.name}".lstrip("/")

    def typed(self, file: str = "") -> str:
        """Return the folder, or a file in it, as a shell takes it."""
        return quote(f"{self.place}/{file}" if file else self.place)

    @cached_property
    def images(self) -> dict[str, int]:
        """Images of each split; in runs of older versions each had one label, so that these are as many."""
        known: dict[str, int] = self.data.get("split_images", {})
        return known or {name: sum(counts) for name, counts in self.data.get("counts", {}).items()}

    @property
    def task(self) -> str:
        """Name of the task."""
        return str((self.space.get("data") or {}).get("task", CLASSIFICATION.name))

    @property
    def counted(self) -> str:
        """What the counts of classes are of: images or objects."""
        return find(self.task).counted if self.task in TASKS else CLASSIFICATION.counted

    @property
    def metric(self) -> str:
        """The figure that the search is for."""
        return self.objective.metric

    @cached_property
    def objective(self) -> Objective:
        """What ranks trials."""
        return objective(self.space.get("objective", {}))

    @property
    def sign(self) -> int:
        """1 if more of it is better, else -1."""
        return self.objective.sign

    @cached_property
    def by_number(self) -> dict[int, TrialRecord]:
        """The trials by number."""
        return {trial.number: trial for trial in self.trials}

    @cached_property
    def ranked(self) -> tuple[TrialRecord, ...]:
        """The trials that were trained to the end, best first; those that lose what is to be kept come last."""
        done = [trial for trial in self.trials if trial.end == "finished" and self.score(trial) is not None]
        base = next((trial.figures for trial in done if trial.is_baseline), None)
        return tuple(sorted(done, key=lambda trial: (self.objective.lost(trial.figures, base),
                                                     -self.sign * (self.score(trial) or 0.0), trial.number)))

    @cached_property
    def eligible(self) -> tuple[TrialRecord, ...]:
        """Those of the ranked that keep what is to be kept."""
        base = self.baseline.figures if self.baseline else None
        return tuple(trial for trial in self.ranked if not self.objective.lost(trial.figures, base))

    @cached_property
    def complete(self) -> frozenset[int]:
        """Numbers of the trials that were trained to the end."""
        return frozenset(trial.number for trial in self.ranked)

    @cached_property
    def drawn(self) -> tuple[TrialRecord, ...]:
        """The trials that figures show: all, or of very many the best, those with a name, and an even choice."""
        if len(self.trials) <= LINES:
            return self.trials
        named = {trial.number for trial in (*self.ranked[:LEADING], self.best) if trial}
        named |= {trial.number for trial in self.trials if trial.label}
        others = [trial for trial in self.trials if trial.number not in named]
        step = -(-len(others) // (LINES - LEADING))
        return tuple(sorted((*(self.by_number[number] for number in named), *others[::step]),
                            key=lambda trial: trial.number))

    @cached_property
    def baseline(self) -> TrialRecord | None:
        """The baseline, if it was trained to the end."""
        return next((trial for trial in self.trials if trial.is_baseline and trial.number in self.complete),
                    None)

    @property
    def best(self) -> TrialRecord | None:
        """The trial that the report is about: what `champion.yaml` holds, else the best of the search."""
        number = (self.champion or {}).get("result", {}).get("trial")
        return self.by_number.get(number) or (self.ranked[0] if self.ranked else None)

    @property
    def overtaken(self) -> bool:
        """Whether the confirmation is older than the search: a bundle not confirmed is better, or the champion is."""
        if not self.confirmed or not self.best:
            return False
        known = {*self.confirmed["candidates"], self.confirmed["baseline"]}
        top = self.ranked[0] if self.ranked else self.best
        recipes = [self.by_number[number].recipe for number in known if number in self.by_number]
        return self.best.number not in known or top.recipe not in recipes

    @cached_property
    def budgets(self) -> tuple[int, ...]:
        """The rungs that trials reached, in epochs."""
        return tuple(sorted({line["budget"] for trial in self.trials for line in trial.rungs}))

    @cached_property
    def ends(self) -> Counter[str]:
        """How many trials ended why."""
        return Counter(trial.end or "unfinished" for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Training time of all trials."""
        return float(sum(line["seconds"] for trial in self.trials for line in trial.rungs))

    def score(self, trial: TrialRecord) -> float | None:
        """Return a trial's figure at the highest rung that it reached."""
        return trial.score(self.metric)

    def name(self, number: int) -> str:
        """Return what a trial is called: its label, or its number."""
        trial = self.by_number.get(number)
        return f"{trial.label} (trial {number})" if trial and trial.label else f"trial {number}"

    def role(self, trial: TrialRecord) -> str:
        """Return how a figure marks a trial: champion, baseline, or why it ended."""
        if self.best and trial.number == self.best.number:
            return "champion"
        return "baseline" if trial is self.baseline else trial.end or "unfinished"


def gather(folder: Path) -> Evidence:
    """Read a run's folder.

    Raises:
        RunError: When it holds no search, or its space or ledger cannot be read, or the ledger was cut off.
    """
    broken: list[str] = []
    path = folder / LEDGER
    written = _document(folder / SPACE, broken)
    lines, torn = read(path) if path.exists() else ([], False)
    line = searched(lines)
    space = line["space"] if line else written
    if not isinstance(space, dict):
        raise RunError(f"{folder}: holds no readable {SPACE}; it is not the folder of a run.")
    if not lines:
        raise RunError(f"{path}: is missing or empty: nothing was searched yet, or it was cut off. Restore it.")
    champion, data, confirmed = (_document(folder / name, broken) for name in (CHAMPION, DATA, CONFIRMED))
    versions, ablated = (_document(folder / name, broken) for name in (VERSIONS, ABLATION))
    sittings = versions.get("sittings") if isinstance(versions, dict) else None
    again = _again(folder / AGAIN, broken)
    drawn = _document(folder / PICTURES, broken)
    trials = records(lines)
    if _is_bundle(champion) and "trial" in champion.get("result", {}):
        trial_of(trials, champion["result"]["trial"], path)
    return Evidence(folder, tuple(trials), space, data if isinstance(data, dict) else {},
                    champion if _is_bundle(champion) else None,
                    confirmed if isinstance(confirmed, dict) and "champion" in confirmed else None,
                    ablated if isinstance(ablated, dict) else {}, _ablation(ablated),
                    tuple(one for one in sittings if isinstance(one, dict)) if isinstance(sittings, list) else (),
                    torn, tuple(broken), again, tuple(drawn["images"]) if isinstance(drawn, dict) else ())


def _again(path: Path, broken: list[str]) -> tuple[Document, ...]:
    """Return what was trained after the search; nothing where it is missing or damaged."""
    try:
        return tuple(line for line in read(path)[0] if "epochs" in line and "seconds" in line) if path.exists() else ()
    except RunError:
        broken.append(path.name)
        return ()


def _is_bundle(document: Any) -> bool:
    """Return whether a document has the sections of a bundle, which one that was cut off has not."""
    return isinstance(document, dict) and {"model", "tricks", "training"} <= document.keys() and all(
        isinstance(document.get(name, {}), dict) for name in ("model", "tricks", "training", "result"))


def _document(path: Path, broken: list[str]) -> Any:
    """Return what a JSON or YAML file holds, None where it is missing or damaged, which `broken` takes the names of."""
    try:
        content = path.read_bytes()
        document = parse(content, path.name, limits=LARGE).value if path.suffix == ".yaml" else json.loads(content)
        if not damaged(content):
            return document
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, SpaceError):
        pass
    broken.append(path.name)
    return None


def _ablation(document: Any) -> tuple[Document, ...]:
    """Return the rows that say something, wherever in the document they stand."""
    rows = document if isinstance(document, list) else []
    if isinstance(document, dict):
        lists = (value for value in document.values() if isinstance(value, list) and value)
        rows = next((value for value in lists if isinstance(value[0], dict)), [])
    return tuple(row for row in rows if isinstance(row, dict) and row.get("trick")
                 and (is_figure(row.get("mean")) or row.get("note")))


def repeated(confirmed: Document) -> str:
    """Return in what the trainings of a confirmation differ: `fold` or `seed`."""
    return "fold" if confirmed.get("folds") else "seed"


def over(confirmed: Document) -> str:
    """Return over what the figures of a confirmation are: `5 folds`, or `5 fresh seeds`."""
    return counted(len(confirmed["seeds"]), confirmed.get("folds") or 0)


def is_figure(value: Any) -> TypeGuard[float]:
    """Return whether something is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

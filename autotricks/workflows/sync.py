"""Sync: puts into MLflow what a run's folder holds; what is there already stays as it is."""
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.bundle import Bundle
from ..core.dataset import Fold
from ..core.reporting import End
from ..errors import RunError
from ..export import BUNDLE, WEIGHTS
from ..export.bundle import read as read_bundle
from ..report import REPORT
from ..report.card import card
from ..runs import folder as folders
from ..runs.evidence import ABLATION as ABLATED
from ..runs.ledger import Line, TrialRecord, read, records, trial_of
from ..runs.trial import Trial, training_key
from ..space.load import LoadedSpace
from ..space.sections import COSTLY
from ..tasks import find as find_task
from ..tracking import NullTracker, Tracker, store
from ..tracking.model_registry import Entry
from ..tricks.catalog import bundle_from
from ..tuning.tracking_listener import TrackingListener, key, parameters, title
from . import confirm
from .contrasts import singles
from .reopen import space_of

ARTIFACTS = (folders.SPACE, folders.DATA, folders.TABLE, BUNDLE, WEIGHTS, confirm.RESULT, ABLATED, REPORT)
ABLATION = "ablation"
FRESH = "fresh_score"     # not `score`: a list of runs by score is one of trials
FLUSH = 600.0     # seconds that a sync waits for the tracking server


@dataclass(frozen=True)
class Synced:
    """What a sync put into MLflow.

    Args:
        runs: Of trials and fresh seeds, and the search's.
        figures: One metric at one step.
        files: Artifacts of the search's run.
        standing: Which alias the registered champion has, and why; empty without one.
        problem: What went wrong; empty if nothing did.
    """

    runs: int
    figures: int
    files: int
    standing: str
    problem: str

    def lines(self) -> list[str]:
        """Return what a person reads."""
        added = "nothing" if self.problem else "nothing: everything was there"
        if self.runs + self.figures + self.files:
            added = f"{self.runs} runs, {self.figures} figures, {self.files} files"
        return [f"Put into MLflow: {added}.", *filter(None, [self.standing])]


def tracker(tracking: str | None, root: Path) -> Tracker:
    """Return a tracker of MLflow's address: None is SQLite in the folder of all runs, `off` tracks nothing."""
    if tracking == "off":
        return NullTracker()
    from ..tracking.mlflow import MlflowTracker

    root.mkdir(parents=True, exist_ok=True)
    return MlflowTracker(store.address(tracking, root), root / "artifacts")


def sync(folder: Path, tracking: str | None = None, trust: bool = False) -> Synced:
    """Put what a run's folder holds into MLflow and wait for it; a second time adds nothing.

    Args:
        folder: Of the run.
        tracking: MLflow's address; None is SQLite in the folder of all runs.
        trust: Whether `my.module:function` may be imported.

    Raises:
        RunError: When the folder holds no run or is in use.
    """
    from ..tracking.mlflow import MlflowTracker

    loaded = space_of(folder, (), trust)
    if not (folder / folders.LEDGER).exists():
        raise RunError(f"{folder}: holds no {folders.LEDGER}; nothing was trained.")
    with folders.locked(folder):
        target = tracker(tracking, folder.parent)
        log_run(folder, loaded, target)
        problem = target.close(FLUSH)
    count = target.count if isinstance(target, MlflowTracker) else {}
    return Synced(count.get("runs", 0), count.get("figures", 0), count.get("files", 0), target.standing, problem or "")


def promote(what: str, by: str, tracking: str | None, root: Path) -> str:
    """Make a registered version the champion because a person says so; return one line that says what was done.

    Args:
        what: `NAME/VERSION`, or a run whose version is meant.
        by: Who decides; the user of this machine if empty.
        tracking: MLflow's address; None is SQLite in the folder of all runs.
        root: Folder of all runs.

    Raises:
        RunError: When the registry cannot be reached or has no such version.
    """
    from ..tracking import model_registry

    if not tracking and not (root / "mlflow.db").exists():
        raise RunError(f"{root}: holds no mlflow.db. Run a search first, or name the registry with --tracking.")
    with store.reached(store.address(tracking, root)) as client:
        known = (root / what).exists() or Path(what).exists()
        return model_registry.promote(client, Path(what).name if known else what, by)


def log_run(folder: Path, loaded: LoadedSpace, tracker: Tracker) -> None:
    """Tell a tracker everything that a run's folder holds: trials, fresh seeds, files, the confirmed champion."""
    facts = folders.read_json(folder / folders.DATA)
    trials = records(read(folder / folders.LEDGER)[0])
    champion = read_bundle(folder / BUNDLE) if (folder / BUNDLE).exists() else None
    record = trial_of(trials, champion["result"]["trial"], folder / folders.LEDGER) if champion else None
    relay = TrackingListener(tracker, loaded, facts, folder.name)
    relay.replay(trials)
    result = champion["result"] if champion else {}
    confirmed = _with_classes(folder, result.get("confirmed") or {})
    _Trainings(folder, loaded, tracker, trials).log(confirmed)
    for name in ARTIFACTS:
        if (folder / name).exists():
            tracker.artifact(folder / name)
    tags = {"end": "finished" if all(trial.end for trial in trials) else "interrupted", "champion": "none"}
    if champion and record:
        trial = Trial(record.number, record.label, bundle_from(champion))
        tags["champion"] = title(trial, result["score"], End.FINISHED)
        tags |= {"verdict": confirmed["verdict"]} if confirmed else {}
    if champion and confirmed:
        tracker.register(_entry(folder, loaded, champion, tags))
    tracker.ended({"score": result["score"], **confirmed_metrics(confirmed)} if champion else {}, tags)


def _entry(folder: Path, loaded: LoadedSpace, champion: Mapping[str, Any], tags: Mapping[str, str]) -> Entry:
    """Return what the registry takes of a confirmed champion."""
    result = champion["result"]
    objective = loaded.document.objective
    confirmed = result["confirmed"]
    classes = champion["classes"]
    task = find_task(loaded.document.data.task)
    told = task.answers(task.blank(len(classes)), classes)[0]
    columns = {name: type(value) for name, value in told.items()}
    files = [folder / BUNDLE, folder / WEIGHTS]
    return Entry(loaded.document.name, files, champion["images"]["shape"], card(folder), columns, {
        "champion": tags["champion"], "verdict": confirmed["verdict"], "run": folder.name,
        "hash": bundle_from(champion).hash, "fingerprint": result["fingerprint"], "metric": objective.metric,
        "mode": objective.mode, "score": f"{result['score']:.6f}", "seeds": json.dumps(confirmed["seeds"]),
        "folds": str(confirmed.get("folds") or 0),
        **({"costs": json.dumps(objective.costs, sort_keys=True)} if objective.metric == COSTLY else {}),
        "test": json.dumps(_of(confirmed["test"], confirmed["champion"])["values"])})


def _of(spreads: Mapping[Any, Any], number: int) -> dict[str, Any]:
    """Return what is said of a trial; JSON makes texts of its number, YAML does not."""
    return dict(spreads[number] if number in spreads else spreads[str(number)])


def _with_classes(folder: Path, confirmed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a bundle file's confirmation with what it leaves out, if the run's last confirmation is the same one."""
    path = folder / confirm.RESULT
    whole = folders.read_json(path) if confirmed and path.exists() else {}
    same = whole and all(whole[name] == confirmed[name] for name in ("champion", "seeds", "difference")) and (
        whole.get("folds") == confirmed.get("folds"))
    return whole if same else confirmed


def on_test(metric: str) -> str:
    """Return what MLflow calls a confirmed figure; the speed of training stands beside those of test."""
    return f"test/{re.sub('^(train|val)/', '', metric)}"


def confirmed_metrics(confirmed: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a confirmation that the search's run shows."""
    if not confirmed:
        return {}
    name = on_test(confirmed["metric"])
    difference = confirmed["difference"]
    kept = confirmed.get("kept")
    metrics = {name: _of(confirmed["test"], confirmed["champion"])["mean"],
               name.replace("test/", "test/baseline_", 1): _of(confirmed["test"], confirmed["baseline"])["mean"],
               "test/difference": difference["mean"], "test/difference_low": difference["low"],
               "test/difference_high": difference["high"], "optimism": confirmed["optimism"],
               **{f"test/{name}": value for name, value in _of(confirmed["figures"], confirmed["champion"]).items()}}
    if confirmed.get("addition"):
        metrics |= {f"test/added{end}": confirmed["addition"]["difference"][part]
                    for end, part in (("", "mean"), ("_low", "low"), ("_high", "high"))}
    if kept:
        metrics |= {f"test/{kept['metric']}_{part}": kept["difference"][end] for part, end in (
            ("difference", "mean"), ("difference_low", "low"), ("difference_high", "high"))}
    if confirmed.get("classes"):
        classes = _of(confirmed["classes"], confirmed["champion"])
        calibration = classes["calibration"]
        metrics |= {"test/calibrated_error": calibration["scaled_error"]} if calibration else {}
        metrics |= {f"test/lost_to_{kind}": one["cost"]
                    for kind, one in ((classes.get("objects") or {}).get("mistakes") or {}).items()}
    return {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}


def _seedless(bundle: Bundle) -> str:
    """Return what names a bundle whatever its seed."""
    return replace(bundle, seed=0).hash


class _Trainings:
    """Tells a tracker of trainings with fresh seeds: below their trial or, of an ablation's bundles, below `ablation`.

    Args:
        folder: Of the run.
        loaded: Its space.
        tracker: Whom to tell.
        trials: Of the search.
    """

    def __init__(self, folder: Path, loaded: LoadedSpace, tracker: Tracker, trials: Sequence[TrialRecord]):
        self._folder = folder
        self._loaded = loaded
        self._tracker = tracker
        self._trials = trials
        self._metric = loaded.document.objective.metric
        self._numbers: dict[str, int] = {}
        for trial in trials:
            self._numbers.setdefault(_seedless(bundle_from(trial.bundle)), trial.number)

    def log(self, confirmed: Mapping[str, Any]) -> None:
        """Tell of every training, those of `confirmed` with what they did on test."""
        path = self._folder / confirm.LEDGER
        lines = {training_key(line): line for line in read(path)[0]} if path.exists() else {}
        ablated = (self._folder / ABLATED).exists()
        if ablated:
            self._tracker.opened(ABLATION, ABLATION, {}, {})
        labels = self._labels() if ablated else {}
        for line in lines.values():
            bundle = bundle_from(line["bundle"])
            number = self._numbers.get(_seedless(bundle))
            label = f"fold {line['fold']}" if "fold" in line else "fresh seed"
            if number is not None:
                self._training(line, bundle, label, key(number), _on_test(confirmed, number, line))
            elif ablated:
                self._training(line, bundle, labels.get(_seedless(bundle), str(bundle)), ABLATION, {})
        if ablated:
            self._tracker.closed(ABLATION, ABLATION, {"end": "finished"}, self._effects())

    def _training(self, line: Line, bundle: Bundle, label: str, below: str, test: Mapping[str, float]) -> None:
        """Tell of one training from its line of the ledger."""
        name = f"training {training_key(line)}"
        metrics = line["metrics"]
        score = line["metrics"].get(self._metric)
        reached = f"{score:.4f}" if score is not None else line["end"] or "failed"
        display_name = f"{label}  {bundle.seed}  {reached}"[:240]
        self._tracker.opened(name, display_name, parameters(bundle),
                             {"seed": str(bundle.seed), "hash": line["hash"],
                              **({"fold": line["fold"]} if "fold" in line else {})}, below)
        curve = line.get("curve") or ([metrics] if metrics else [])     # older lines hold the last epoch alone
        self._tracker.rows(name, curve, bundle.epochs - len(curve) + 1 if metrics else 1)
        last = {"epochs_spent": line["epochs"], "seconds": line["seconds"], **test}
        self._tracker.closed(name, display_name, {"end": line["end"] or "failed"},
                             {**last, FRESH: score} if score is not None else last)

    def _labels(self) -> dict[str, str]:
        """Return what an ablation's bundles are called."""
        from .ablate import ends  # which imports much that a search does not need

        try:
            _, champion, baseline = ends(self._folder, self._loaded, self._trials)
        except RunError:    # the champion has changed since, and there is nothing to name them by
            return {}
        return {_seedless(bundle): f"{change.kind} {change.trick}" for change in singles(champion, baseline)
                for _, bundle in change.terms}

    def _effects(self) -> dict[str, float]:
        """Return an ablation's figures: `without/mixup` and the ends of its interval."""
        return dict(_effect_metrics(folders.read_json(self._folder / ABLATED, "effects")["effects"]))


def _effect_metrics(effects: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, float]]:
    for effect in effects:
        name = f"{effect['kind']}/{effect['trick']}".replace(": ", "_")   # colons are refused on some systems
        for part, value in (("", effect["mean"]), ("_low", effect["low"]), ("_high", effect["high"])):
            if value is not None:
                yield name + part, value


def _on_test(confirmed: Mapping[str, Any], number: int, line: Line) -> dict[str, float]:
    """Return what a training of a confirmation did on test, if test was read for it."""
    judged = {int(one) for one in confirmed.get("test", ())}
    if number not in judged or line["seed"] not in confirmed["seeds"]:
        return {}
    place = confirmed["seeds"].index(line["seed"])
    folds = confirmed.get("folds") or 0
    if line.get("fold") != (str(Fold(place, folds)) if folds else None):
        return {}
    return {on_test(confirmed["metric"]): _of(confirmed["test"], number)["values"][place]}

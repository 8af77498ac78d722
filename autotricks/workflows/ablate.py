"""Ablation: what each trick brings, from trainings with fresh seeds, with and without it."""
from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

from ..core.bundle import Bundle
from ..core.reporting import OnProgress, silent
from ..errors import RunError
from ..export import BUNDLE
from ..report import write as write_report
from ..runs import folder as folders
from ..runs.ledger import Ledger, Line, TrialRecord, trial_of
from ..runs.trial import Training
from ..space import load_bundle_file
from ..space.load import LoadedSpace
from ..stats.intervals import CONFIDENCE, interval
from ..stats.spread import SeedStatistics
from ..tricks.catalog import bundle_from
from ..tuning.engines.engine import Engine
from ..tuning.importance import Importance, importance
from .confirm import LEDGER
from .contrasts import Change, changed, pairs as paired, singles
from .reopen import Reopened, reopened

RESULT = "ablation.json"
KIND = "ablate"
OWN = 2000          # first of the seeds; a champion is favored by the luck of the seeds that chose it
CLOCKED = 2         # trainings that tell the time of a bundle whose others are of another sitting
METHOD = "paired differences over seeds on validation, Student's t, Bonferroni"


@dataclass(frozen=True)
class Effect:
    """What one comparison found; more is better, whatever the metric. What cannot be told is None.

    Args:
        trick: Whose effect it is.
        kind: `without`: the champion less itself without the trick; `alone`: the baseline with it, less the baseline;
            `pair`: what the one brings beside the other, less what it brings without it.
        mean: In points of the metric.
        low: Of the interval; None is minus infinity where there is a mean.
        high: Of the interval.
        seconds_with: Median wall time of a training with the trick.
        seconds_without: And without it.
        seconds_ratio: The one by the other.
        seeds: Pairs of trainings, one a seed.
        note: What else had to change with the trick, or why there is no figure.
    """

    trick: str
    kind: str
    mean: float | None
    low: float | None
    high: float | None
    seconds_with: float | None
    seconds_without: float | None
    seconds_ratio: float | None
    seeds: int
    note: str = ""


@dataclass(frozen=True)
class Ablation:
    """What an ablation found.

    Args:
        metric: The search's figure, `val/...`.
        trial: Number of the champion.
        champion: Its scores, one a seed.
        baseline: The baseline's.
        seeds: The same for all bundles.
        comparisons: Intervals that hold together in the table of single tricks.
        pair_comparisons: And in the table of pairs: all from which those were taken, for the effects chose them.
        effects: Single tricks, then pairs; largest effect first.
        importance: What a surrogate makes of the search's trials; None where they are too few.
    """

    metric: str
    trial: int
    champion: SeedStatistics
    baseline: SeedStatistics
    seeds: tuple[int, ...]
    comparisons: int
    pair_comparisons: int
    effects: tuple[Effect, ...]
    importance: Importance | None
    method: str = METHOD

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        content = {**asdict(self), "confidence": CONFIDENCE}
        if self.importance:
            content["importance"]["meaning"] = self.importance.meaning
        plain: dict[str, Any] = json.loads(json.dumps(content), parse_constant=lambda word: None)
        return plain


def ablate(folder: Path, seeds: int | None = None, pairs: int = 0, trust: bool = False,
           on_progress: OnProgress = silent, engine: Engine | None = None) -> Ablation:
    """Train a run's champion without each trick, and its baseline with each alone, and say what each brings.

    The seeds are neither the search's nor the confirmation's, by which the champion was chosen: with those, tricks
    that do nothing seemed to help three times as often as the intervals allow. What has been trained is not trained
    again. Test is not read.

    Args:
        folder: Of the run; takes `ablation.json`, and its `confirm.jsonl` the trainings.
        seeds: Trainings of each bundle; as many as the space's `confirm` section says if None.
        pairs: Tricks, those with the largest effects, of which each two are looked at together.
        trust: Whether a model of the form `my.module:function` may be imported.
        on_progress: Hears how many trainings are done of how many.
        engine: Carries the trainings out; None is the one that the space names.

    Raises:
        RunError: When there is no champion, or nothing tells it from the baseline.
        EngineError: When a training's process died again and again.
    """
    with reopened(folder, [], trust, engine) as run:
        metric = run.loaded.document.objective.metric
        if not metric.startswith("val/"):
            raise RunError(f"{folder}: {metric} is no figure of images that training has not seen; there is nothing "
                           "to ablate by.")
        number, champion, baseline = ends(folder, run.loaded, run.trials, trust)
        fresh = tuple(range(OWN, OWN + (seeds or run.loaded.document.confirm.trainings)))
        trained = Retraining(folder, run, fresh, on_progress)
        result = _ablation(number, champion, baseline, trained, pairs)
    folders.write_json(folder / RESULT, result.document())
    write_report(folder)
    return result


def ends(folder: Path, loaded: LoadedSpace, trials: Sequence[TrialRecord],
         trust: bool = False) -> tuple[int, Bundle, Bundle]:
    """Return the champion's number, the champion, and the baseline of a run.

    Raises:
        RunError: When there is no champion, or nothing tells it from the baseline.
    """
    if not (folder / BUNDLE).exists():
        raise RunError(f"{folder}: holds no {BUNDLE}; no trial was trained to the end.")
    number = int(load_bundle_file(str(folder / BUNDLE), trust).document.result["trial"])
    champion = bundle_from(trial_of(trials, number, folder / folders.LEDGER).bundle)
    baseline = next((bundle_from(trial.bundle) for trial in trials if trial.is_baseline),
                    loaded.space.baseline())
    if not changed(champion, baseline):
        raise RunError(f"{folder}: its champion is the baseline itself; there is no trick to ablate.")
    return number, champion, baseline


class Retraining:
    """Trainings of bundles with fresh seeds, kept in the run's `confirm.jsonl` and never repeated.

    Args:
        folder: Of the run, which is locked.
        run: What it holds.
        seeds: Of each bundle.
        on_progress: Hears how many are done of how many.
    """

    def __init__(self, folder: Path, run: Reopened, seeds: tuple[int, ...], on_progress: OnProgress = silent):
        self.folder = folder
        self.run = run
        self.seeds = seeds
        self.on_progress = on_progress
        self.metric = run.loaded.document.objective.metric
        self.sign = run.loaded.document.objective.objective().sign
        self.sitting = time.strftime("%Y-%m-%d %H:%M:%S")
        self._lines: dict[str, Line] = {}

    def train(self, bundles: Sequence[Bundle]) -> None:
        """Train each bundle with each seed, but for what is known; the first two are what others are held against."""
        wanted = {each.hash: each for seed in self.seeds for bundle in bundles for each in [_seeded(bundle, seed)]}
        ledger = Ledger(self.folder / LEDGER)
        try:
            self._lines = {line["hash"]: line for line in ledger.lines if "fold" not in line}
            missing = [bundle for digest, bundle in wanted.items() if digest not in self._lines]
            clocked = {each.hash: each for bundle in bundles[:2] for each in self._clocked(bundle)} if missing else {}
            missing[len(missing) // 2:len(missing) // 2] = [
                each for digest, each in clocked.items() if digest not in {bundle.hash for bundle in missing}]
            wanted |= clocked
            self.on_progress(len(wanted) - len(missing), len(wanted))
            dataset = self.run.data.dataset.without_test()
            for training, outcome in self.run.engine.retrain([*map(Training, missing)], dataset, self.run.slots):
                line = ledger.append(KIND, **outcome.record(training), sitting=self.sitting)
                self._lines[training.key] = line
                self.on_progress(sum(digest in self._lines for digest in wanted), len(wanted))
        finally:
            ledger.close()

    def scores(self, bundle: Bundle) -> list[float]:
        """Return the score of each seed, turned so that more is better; nan where the training broke down."""
        values = [self._lines[_seeded(bundle, seed).hash]["metrics"].get(self.metric) for seed in self.seeds]
        return [math.nan if value is None else self.sign * value for value in values]

    def seconds(self, one: Bundle, other: Bundle) -> tuple[float, float]:
        """Return the median times of two bundles' trainings, of a sitting that had both wherever there is one.

        Another day the machine may be busier.
        """
        lines = self._of(one), self._of(other)
        sittings = {line.get("sitting") for line in lines[0]} & {line.get("sitting") for line in lines[1]}
        times = [[line["seconds"] for line in each if not sittings or line.get("sitting") in sittings]
                 for each in lines]
        return float(median(times[0])), float(median(times[1]))

    def _clocked(self, bundle: Bundle) -> list[Bundle]:
        """Return what to train for its time alone, with further seeds, where the rest is known from another sitting."""
        known = {line["seed"] for line in self._of(bundle)}
        if not known.issuperset(self.seeds) or any(line.get("sitting") == self.sitting for line in self._of(bundle)):
            return []
        further = (seed for seed in count(OWN + len(self.seeds)) if seed not in known)
        return [_seeded(bundle, seed) for seed in islice(further, CLOCKED)]

    def _of(self, bundle: Bundle) -> list[Line]:
        """Return what the ledger says of a bundle, of any seed."""
        wanted = _seedless(bundle.document())
        return [line for line in self._lines.values() if _seedless(line["bundle"]) == wanted]


def _seedless(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "training": {**document["training"], "seed": None}}


def _seeded(bundle: Bundle, seed: int) -> Bundle:
    return replace(bundle, seed=seed)


def _ablation(number: int, champion: Bundle, baseline: Bundle, trained: Retraining, top: int) -> Ablation:
    run = trained.run
    single = singles(champion, baseline)
    labels = {label: name for name, label in changed(champion, baseline).items()}
    trained.train([champion, baseline, *(bundle for change in single for _, bundle in change.terms)])
    comparisons = sum(bool(change.terms) for change in single)
    effects = _ranked(effect(change, trained.scores, trained.seconds, comparisons) for change in single)
    leading = [labels[each.trick] for each in effects if each.kind == "without" and each.mean is not None][:top]
    double = paired(champion, baseline, leading)
    pair_comparisons = math.comb(len(labels), 2) if double else 0
    if double:
        trained.train([bundle for change in double for _, bundle in change.terms])
    together = _ranked(effect(change, trained.scores, trained.seconds, pair_comparisons) for change in double)
    document = run.loaded.document
    ours, theirs = (SeedStatistics.of([trained.sign * score for score in trained.scores(bundle)])
                    for bundle in (champion, baseline))
    return Ablation(
        trained.metric, number, ours, theirs, trained.seeds, comparisons, pair_comparisons, (*effects, *together),
        importance(run.loaded.space, run.trials, trained.metric, document.objective.mode == "max"))


def _ranked(effects: Iterable[Effect]) -> list[Effect]:
    """Return the largest effect first, those without a figure last."""
    return sorted(effects, key=lambda each: (each.kind != "without", each.mean is None, -abs(each.mean or 0.0)))


def effect(change: Change, scores: Callable[[Bundle], Sequence[float]],
           seconds: Callable[[Bundle, Bundle], tuple[float, float]], comparisons: int) -> Effect:
    """Return what the trainings of a comparison say.

    Args:
        change: The comparison.
        scores: Of a bundle: one a seed, more is better, nan where a training broke down.
        seconds: Of two bundles: time of a training of each.
        comparisons: How many intervals are to hold together.
    """
    if not change.terms:
        return Effect(change.trick, change.kind, None, None, None, None, None, None, 0, change.note)
    rows = list(zip(*([sign * score for score in scores(bundle)] for sign, bundle in change.terms), strict=True))
    bundles = [bundle for _, bundle in change.terms]
    one, other = seconds(bundles[0], bundles[1]) if len(bundles) == 2 else (None, None)
    ratio = one / other if one and other else None
    broken = sum(not all(map(math.isfinite, row)) for row in rows)
    if broken:
        note = "; ".join(filter(None, [change.note, _breakdowns(change, scores)]))
        return Effect(change.trick, change.kind, None, None, None, one, other, ratio, len(rows), note)
    estimate = interval([math.fsum(row) for row in rows], comparisons)
    return Effect(change.trick, change.kind, estimate.mean, estimate.low, estimate.high, one, other, ratio, len(rows),
                  change.note)


def _breakdowns(change: Change, scores: Callable[[Bundle], Sequence[float]]) -> str:
    """Return in words how many trainings diverged, with the trick and without it."""
    counts = [sum(not math.isfinite(score) for score in scores(bundle)) for _, bundle in change.terms]
    total = len(scores(change.terms[0][1]))
    sides = ("with it", "without it") if len(counts) == 2 else ("with both", "without one", "without the other",
                                                                "without both")
    return "broke down: " + ", ".join(f"{count} of {total} {side}" for count, side in zip(counts, sides) if count)

"""Confirmation: the best bundles and the baseline trained again with fresh seeds; test is read once, at the end."""
from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from safetensors.torch import load as load_weights

from .catalog import bundle_from
from .champion import bundle_document, keep
from .core.bundle import Bundle
from .core.dataset import Dataset
from .core.report import End
from .data import Loaded
from .errors import RunError
from .export.bundle import put
from .predictor import Predictor
from .search.ledger import Ledger, Line, TrialRecord
from .search.retrain import retrain
from .search.search import Champion, Trial
from .space.load import LoadedSpace
from .tested import ClassResults, OnTest, Spread, tested

LEDGER, RESULT, WEIGHTS = "confirm.jsonl", "confirm.json", "confirm"
FRESH = 1000            # first of the seeds that no search uses
CONFIDENCE = 0.95
METHOD = "paired differences over seeds, Student's t"


@dataclass(frozen=True)
class Interval:
    """A mean difference and its 95% interval; infinite for a single pair."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds say.

    Args:
        metric: The figure that the search was for, without `val/`.
        seeds: Of the trainings; the same for all bundles.
        candidates: Trial numbers of the bundles trained again, best of the search first.
        champion: Trial number of the best on validation; the baseline's if nothing beat it.
        baseline: Trial number of the baseline.
        searched: The champion's score in the search.
        validation: Of each bundle, by trial number.
        test: Of champion and baseline, by trial number.
        difference: Champion minus baseline on test, turned so that more is better.
        optimism: Search score minus confirmed validation score, turned likewise.
        figures: Mean of every figure on test, by trial number.
        verdict: In words.
        classes: What champion and baseline do class by class on test, by trial number.
    """

    metric: str
    seeds: tuple[int, ...]
    candidates: tuple[int, ...]
    champion: int
    baseline: int
    searched: float
    validation: dict[int, Spread]
    test: dict[int, Spread]
    difference: Interval
    optimism: float
    figures: dict[int, dict[str, float]]
    verdict: str
    method: str = METHOD
    classes: dict[int, ClassResults] = field(default_factory=dict)

    def summary(self) -> dict[str, float | str]:
        """Return what a tracker shows."""
        figures: dict[str, float | str] = {
            f"test/{self.metric}": self.test[self.champion].mean,
            f"test/baseline_{self.metric}": self.test[self.baseline].mean, "test/difference": self.difference.mean,
            "test/difference_low": self.difference.low, "test/difference_high": self.difference.high,
            "optimism": self.optimism, **{f"test/{name}": value for name, value in self.figures[self.champion].items()}}
        if self.champion in self.classes:
            figures["test/calibrated_error"] = self.classes[self.champion].calibrated_error
        return {**{name: value for name, value in figures.items() if math.isfinite(float(value))},
                "verdict": self.verdict}

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=lambda word: None)
        return plain

    def brief(self) -> dict[str, Any]:
        """Return what a bundle file holds of it: all but the classes, which may be many."""
        return {name: value for name, value in self.document().items() if name != "classes"}


class Unconfirmed(RunError):
    """There is nothing to compare with."""


@dataclass(frozen=True)
class Trainings:
    """How to train again.

    Args:
        slots: Trainings at a time, of the local engine.
        trust: Whether a model of the form `my.module:function` may be imported.
        told: Hears how many trainings are done of how many.
    """

    slots: int = 1
    trust: bool = False
    told: Callable[[int, int], None] = lambda done, total: None


def confirm(folder: Path, loaded: LoadedSpace, data: Loaded, trials: Sequence[TrialRecord],
            how: Trainings) -> tuple[Confirmation, Champion]:
    """Train the best bundles and the baseline again, and keep the one that is best then as the run's champion.

    Args:
        folder: Of the run, which is locked.
        loaded: The space, with its `confirm` section.
        data: With its test split.
        trials: Of the search.
        how: To train.

    Raises:
        Unconfirmed: When there is nothing to compare with.
        EngineError: When a training's process died again and again.
    """
    document = loaded.document
    if not document.objective.metric.startswith("val/"):
        raise Unconfirmed(f"{document.objective.metric} is no figure of images that training has not seen.")
    sign, needs = (1 if document.objective.mode == "max" else -1), {"cpu": document.resources.cpus,
                                                                    "gpu": document.resources.gpus}
    judge = Confirmer(folder, data.dataset, lambda bundle: bundle_document(document.name, {}, data, bundle, {}),
                      document.objective.metric, sign, needs, document.search.engine, how)
    found = judge.confirm(trials, document.confirm.top, document.confirm.seeds)
    record = next(trial for trial in trials if trial.number == found.champion)
    bundle = replace(bundle_from(record.bundle), seed=FRESH)
    metrics = judge.known[bundle.hash]
    champion = Champion(Trial(record.number, record.label, bundle), metrics[document.objective.metric], metrics,
                        judge.weights(bundle))
    keep(folder, loaded, data, champion, found.brief())
    return found, champion


def interval(differences: Sequence[float], comparisons: int = 1) -> Interval:
    """Return the mean of paired differences and its two-sided 95% interval by Student's t with n - 1 degrees.

    Args:
        differences: One for each seed.
        comparisons: Intervals that hold together, by Bonferroni: each may err with 5% over their number.
    """
    from scipy.stats import t
    mean, count = fmean(differences), len(differences)
    if count < 2:
        return Interval(mean, -math.inf, math.inf)
    half = float(t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), count - 1)) * stdev(differences) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def verdict(difference: Interval, same: bool) -> str:
    """Return in words what the difference of champion and baseline says; `same` if they are one bundle."""
    if same:
        return "no evidence of improvement: the baseline itself was the best on validation"
    if difference.low > 0:
        return "better than the baseline"
    if difference.high < 0:
        return "worse than the baseline"
    if difference.mean >= 0 and math.isfinite(difference.low):
        return "no evidence of improvement: the interval holds zero"
    return "no evidence of improvement"


def chosen(trials: Iterable[TrialRecord], metric: str, sign: int, top: int) -> tuple[TrialRecord, list[TrialRecord]]:
    """Return the baseline and the `top` best trials beside it, best first.

    Raises:
        Unconfirmed: When the baseline was not trained to the end, so that there is nothing to compare with.
    """
    done = [trial for trial in trials if trial.end == End.FINISHED.value and trial.score(metric) is not None]
    baseline = next((trial for trial in done if trial.label == "baseline"), None)
    if baseline is None:
        raise Unconfirmed("the baseline was not trained to the end; there is nothing to compare with. Put baseline "
                          "among the space's start bundles.")
    others = sorted((trial for trial in done if trial is not baseline and trial.hash != baseline.hash),
                    key=lambda trial: -sign * (trial.score(metric) or 0.0))
    return baseline, others[:top]


@dataclass
class Confirmer:
    """Trains candidates with fresh seeds and judges them.

    Args:
        folder: Of the run; takes `confirm.jsonl`, `confirm.json` and, while it works, weights.
        dataset: With its test split, which the trainings do not see.
        document: Of a bundle file, for a bundle: what `Predictor` takes.
        metric: The search's figure, `val/...`.
        sign: 1 if more of it is better, else -1.
        needs: Cores (`cpu`) and GPUs (`gpu`) of one training.
        engine: `local` or `ray`.
        how: To train.
    """

    folder: Path
    dataset: Dataset
    document: Callable[[Bundle], dict[str, Any]]
    metric: str
    sign: int
    needs: dict[str, float]
    engine: str
    how: Trainings
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    def confirm(self, trials: Sequence[TrialRecord], top: int, seeds: int) -> Confirmation:
        """Return what fresh seeds say of the best trials; what has been trained already is not trained again."""
        baseline, best = chosen(trials, self.metric, self.sign, top)
        group = {trial.number: bundle_from(trial.bundle) for trial in [*best, baseline]}
        fresh = tuple(range(FRESH, FRESH + seeds))
        known = self.known = self._train([replace(bundle, seed=seed) for bundle in group.values() for seed in fresh])
        scores = {number: [known[replace(bundle, seed=seed).hash].get(self.metric, math.nan) for seed in fresh]
                  for number, bundle in group.items()}
        sound = {number: Spread.of(values) for number, values in scores.items() if all(map(math.isfinite, values))}
        if baseline.number not in sound:
            raise Unconfirmed("the baseline diverged with a fresh seed; there is nothing to compare with.")
        champion = max(sound, key=lambda number: (self.sign * sound[number].mean, number != baseline.number))
        searched = next(trial for trial in trials if trial.number == champion).score(self.metric) or math.nan
        return self._judged(champion, searched, group, fresh, sound)

    def _train(self, bundles: Sequence[Bundle]) -> dict[str, dict[str, float]]:
        """Return the validation figures of each training by its hash; weights lie in the folder."""
        (self.folder / WEIGHTS).mkdir(exist_ok=True)
        ledger = Ledger(self.folder / LEDGER)
        try:
            known: dict[str, dict[str, float]] = {
                line["hash"]: line["metrics"] for line in ledger.lines if self._whole(line)}
            missing = [bundle for bundle in bundles if bundle.hash not in known]
            self.how.told(len(bundles) - len(missing), len(bundles))
            for bundle, outcome in retrain(missing, self.dataset.without_test(), self.needs, self.how.slots,
                                           self.engine, self.how.trust):
                weights = outcome.weights or b""
                put(self._path(bundle.hash), weights)
                ledger.append("confirm", hash=bundle.hash, seed=bundle.seed, bundle=bundle.document(),
                              metrics=outcome.metrics if outcome.end is End.FINISHED else {}, epochs=outcome.epochs,
                              end=outcome.end.value if outcome.end else None, seconds=round(outcome.seconds, 3),
                              weights=hashlib.sha256(weights).hexdigest())
                known[bundle.hash] = ledger.lines[-1]["metrics"]
                self.how.told(sum(bundle.hash in known for bundle in bundles), len(bundles))
        finally:
            ledger.close()
        return known

    def _judged(self, champion: int, searched: float, group: dict[int, Bundle], seeds: tuple[int, ...],
                validation: dict[int, Spread]) -> Confirmation:
        """Read test and judge; the last of the group is the baseline."""
        word, (*candidates, baseline) = self.metric.removeprefix("val/"), group
        rows = {number: [self._tested(replace(group[number], seed=seed)) for seed in seeds]
                for number in dict.fromkeys((champion, baseline))}
        figures = {number: [one.figures for one in done] for number, done in rows.items()}
        test = {number: Spread.of([figure[word] for figure in done]) for number, done in figures.items()}
        pairs = zip(test[champion].values, test[baseline].values, strict=True)
        difference = interval([self.sign * (one - other) for one, other in pairs])
        found = Confirmation(
            word, seeds, tuple(candidates), champion, baseline, searched, validation, test, difference,
            self.sign * (searched - validation[champion].mean),
            {number: {name: fmean(row[name] for row in done) for name in done[0]} for number, done in figures.items()},
            verdict(difference, champion == baseline),
            classes={number: ClassResults.of(done) for number, done in rows.items()})
        put(self.folder / RESULT, (json.dumps(found.document(), indent=1) + "\n").encode())
        return found

    def weights(self, bundle: Bundle) -> bytes:
        """Return the weights of a training that is done."""
        return self._path(bundle.hash).read_bytes()

    def _whole(self, line: Line) -> bool:
        """Return whether the weights of a training are there as they were written; else it is trained again."""
        try:
            weights = self._path(line["hash"]).read_bytes()
        except OSError:
            return False
        return "weights" not in line or bool(hashlib.sha256(weights).hexdigest() == line["weights"])

    def _path(self, digest: str) -> Path:
        return self.folder / WEIGHTS / f"{digest}.safetensors"

    def _tested(self, bundle: Bundle) -> OnTest:
        """Return what a trained bundle does on test."""
        predictor = Predictor(self.document(bundle), load_weights(self.weights(bundle)), self.how.trust)
        return tested(predictor, self.dataset)

"""Confirmation: the best bundles and the baseline trained again, over seeds or folds; test is read once, at the end."""
from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

from safetensors.torch import load as load_weights

from .. import report
from ..core.bundle import Bundle
from ..core.dataset import Dataset, Fold
from ..core.objective import SPEED, Objective
from ..core.reporting import End, OnProgress, silent
from ..data import Loaded
from ..data.folds import with_folds
from ..errors import RunError
from ..inference.predictor import Predictor
from ..io.files import disk_errors, write_atomic
from ..runs import pictures
from ..runs.champion import bundle_document, keep
from ..runs.folder import AGAIN, write_json
from ..runs.ledger import Ledger, Line, TrialRecord
from ..runs.trial import Champion, Training, Trial, training_key
from ..space.load import LoadedSpace
from ..space.sections import ConfirmSection
from ..stats.intervals import Interval, paired
from ..stats.spread import SeedStatistics
from ..stats.test_results import ClassResults, TestResult
from ..stats.verdict import METHOD, OVER_FOLDS, Addition, Constraint, added, counted, verdict
from ..tasks import metric
from ..trainer.evaluate import tested
from ..tricks.catalog import bundle_from
from ..tuning.engines.engine import Engine
from ..tuning.samplers import ranked
from .reopen import reopened

LEDGER = AGAIN
RESULT = "confirm.json"
WEIGHTS = "confirm"
FRESH = 1000            # fresh seeds are from here on
Key = TypeVar("Key")


@dataclass(frozen=True)
class Confirmation:
    """What fresh seeds say.

    Args:
        metric: The figure that the search was for, without `val/`.
        seeds: Of the trainings; the same for all bundles. With folds, one for each.
        candidates: Trial numbers of the bundles trained again, best of the search first.
        champion: Trial number of the best on validation that keeps what is to be kept; the baseline's if none is.
        baseline: Trial number of the baseline.
        searched: What the search thought that the champion scores.
        validation: Of each bundle, by trial number.
        test: Of champion, baseline and best start bundle, by trial number; the speed of training is that of the fresh
            trainings.
        difference: Champion minus baseline on test, turned so that more is better.
        optimism: Search score minus confirmed validation score, turned likewise.
        figures: Mean of every figure on test, by trial number.
        verdict: In words.
        classes: What champion and baseline do class by class on test, by trial number.
        kept: What came of the figure that must not be lost; None where there is none.
        addition: What the champion has that the best start bundle had not; None in confirmations of older versions.
        folds: Of train and validation together, each of which validated once; 0 where trainings differ in their seed
            alone.
    """

    metric: str
    seeds: tuple[int, ...]
    candidates: tuple[int, ...]
    champion: int
    baseline: int
    searched: float
    validation: dict[int, SeedStatistics]
    test: dict[int, SeedStatistics]
    difference: Interval
    optimism: float
    figures: dict[int, dict[str, float]]
    verdict: str
    method: str = METHOD
    classes: dict[int, ClassResults] = field(default_factory=dict)
    kept: Constraint | None = None
    addition: Addition | None = None
    folds: int = 0

    @property
    def over(self) -> str:
        """What its figures are over, in words."""
        return counted(len(self.seeds), self.folds)

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=lambda word: None)
        return plain

    def brief(self) -> dict[str, Any]:
        """Return what a bundle file holds of it: all but the classes, which may be many."""
        return {name: value for name, value in self.document().items() if name != "classes"}


class ConfirmationError(RunError):
    """There is nothing to compare with."""


@dataclass(frozen=True)
class TrainingResources:
    """How to train again.

    Args:
        engine: Carries the trainings out.
        slots: Trainings at a time; an engine that has nodes with room of their own decides by that.
        trust: Whether a model of the form `my.module:function` may be imported.
        on_progress: Hears how many trainings are done of how many.
    """

    engine: Engine
    slots: int = 1
    trust: bool = False
    on_progress: OnProgress = silent


def confirm(folder: Path, loaded: LoadedSpace, data: Loaded, trials: Sequence[TrialRecord],
            how: TrainingResources) -> tuple[Confirmation, Champion]:
    """Train the best bundles and the baseline again, and keep the one that is best then as the run's champion.

    Args:
        folder: Of the run, which is locked.
        loaded: The space, with its `confirm` section.
        data: With its test split.
        trials: Of the search.
        how: To train.

    Raises:
        ConfirmationError: When there is nothing to compare with.
        DataError: When the images are too few for the folds asked for.
        EngineError: When a training's process died again and again.
    """
    document = loaded.document
    if not document.objective.metric.startswith(("val/", SPEED)):
        raise ConfirmationError(f"{document.objective.metric} is no figure of images that training has not seen.")
    section = document.confirm
    dataset = in_folds(loaded, data.dataset)
    judge = Confirmer(folder, dataset,
                      lambda bundle: bundle_document(document.name, {"task": document.data.task}, data, bundle, {}),
                      document.objective.objective(), how, section.pictures)
    repeats = repetitions(trials, section.trainings, section.folds)
    confirmation = judge.confirm(trials, ranked(loaded, trials), section.top, repeats)
    record = next(trial for trial in trials if trial.number == confirmation.champion)
    training = repeats[0].of(bundle_from(record.bundle))
    metrics = judge.known[training.key]
    champion = Champion(Trial(record.number, record.label, training.bundle), metrics[document.objective.metric],
                        metrics, judge.weights(training))
    keep(folder, loaded, replace(data, dataset=dataset.folded(training.fold)), champion, confirmation.brief())
    return confirmation, champion


def in_folds(loaded: LoadedSpace, dataset: Dataset) -> Dataset:
    """Return the data set with the folds that the space wants it confirmed over; as it is where it wants none.

    Raises:
        DataError: When the images are too few for them.
    """
    count = loaded.document.confirm.folds
    return with_folds(dataset, count, loaded.document.data.seed) if count else dataset


def confirm_again(folder: Path, wanted: ConfirmSection, trust: bool = False, on_progress: OnProgress = silent,
                  engine: Engine | None = None) -> Confirmation:
    """Confirm a finished search anew, with other numbers of bundles, seeds or folds; what was trained is kept.

    Args:
        folder: Of the run.
        wanted: In the place of the space's section; whether pictures are kept stays as it is.
        trust: Whether `my.module:function` may be imported.
        on_progress: Hears how many trainings are done of how many.
        engine: Carries the trainings out; None is the one that the space names.

    Raises:
        InputError: When seeds and folds are given, or the images are too few for the folds.
        RunError: When the folder holds no run, its data changed, or there is nothing to confirm.
    """
    changes = [f"confirm.{name}={json.dumps(value)}" for name, value in wanted.model_dump(exclude={"pictures"}).items()]
    with reopened(folder, changes, trust, engine) as run:
        how = TrainingResources(run.engine, run.slots, trust, on_progress)
        result = confirm(folder, run.loaded, run.data, run.trials, how)[0]
        report.write(folder)
        return result


@dataclass(frozen=True)
class Candidates:
    """Which trials are trained again.

    Args:
        baseline: What everything is compared with.
        start: The best of the start bundles; may be the baseline.
        others: The best trials beside the baseline, best first, the best start bundle among them.
    """

    baseline: TrialRecord
    start: TrialRecord
    others: tuple[TrialRecord, ...]


def chosen(trials: Iterable[TrialRecord], objective: Objective, ranking: Sequence[int], top: int) -> Candidates:
    """Return the baseline and the `top` best trials beside it that keep what is to be kept, and the best start bundle.

    Args:
        trials: Of the search.
        objective: Of the search.
        ranking: Trial numbers, one for each bundle, the best by all evidence first.
        top: How many.

    Raises:
        ConfirmationError: When the baseline was not trained to the end, so that there is nothing to compare with.
    """
    metric = objective.metric
    trials = list(trials)
    done = {trial.number: trial for trial in trials
            if trial.end == End.FINISHED.value and trial.score(metric) is not None}
    baseline = next((trial for trial in done.values() if trial.is_baseline), None)
    if baseline is None:
        ends = [trial.end or "unfinished" for trial in trials if trial.is_baseline]
        if ends:
            raise ConfirmationError(f"the baseline was not trained to the end ({ends[0]}); there is nothing to "
                                    "compare with.")
        raise ConfirmationError("the baseline was not trained; there is nothing to compare with. Put baseline among "
                                "the space's start bundles.")
    kept = [done[number] for number in ranking if number in done
            and not objective.lost(done[number].figures, baseline.figures)]
    start = next((trial for trial in kept if trial.label), baseline)
    others = [trial for trial in kept if trial.hash != baseline.hash]
    best = others[:top]
    if start.hash != baseline.hash and start not in best:
        best.append(start)
    return Candidates(baseline, start, tuple(best))


def best(validation: Mapping[Key, SeedStatistics], baseline: Key, sign: int) -> Key:
    """Return which bundle has the best mean on validation; the baseline if nothing beat it."""
    return max(validation, key=lambda key: (sign * validation[key].mean, key == baseline))


def fresh_seeds(trials: Iterable[TrialRecord], count: int) -> tuple[int, ...]:
    """Return seeds that no trial of the search was trained with."""
    used = {trial.bundle["training"]["seed"] for trial in trials}
    return tuple(islice((seed for seed in itertools.count(FRESH) if seed not in used), count))


@dataclass(frozen=True)
class Repetition:
    """One of the trainings that each bundle gets.

    Args:
        seed: The same for all bundles.
        fold: That validates while the others train; None for train and validation as the data has them.
    """

    seed: int
    fold: Fold | None = None

    def of(self, bundle: Bundle) -> Training:
        """Return the training of a bundle."""
        return Training(replace(bundle, seed=self.seed), self.fold)


def repetitions(trials: Iterable[TrialRecord], count: int, folds: int | None = None) -> tuple[Repetition, ...]:
    """Return the trainings that each bundle gets: `count`, each with a fresh seed, and over folds each with its own."""
    parts = [Fold(number, folds) for number in range(folds)] if folds else [None] * count
    return tuple(map(Repetition, fresh_seeds(trials, count), parts))


@dataclass
class Confirmer:
    """Trains candidates again and judges them.

    Args:
        folder: Of the run; takes `confirm.jsonl`, `confirm.json` and, while it works, weights.
        dataset: With its test split, which the trainings do not see, and with the folds that they take.
        document: Of a bundle file, for a bundle: what `Predictor` takes.
        objective: Of the search: a figure of validation, or the speed of training.
        how: To train.
        pictures: Whether test images are kept, with what the champion finds in them, if it finds objects.
    """

    folder: Path
    dataset: Dataset
    document: Callable[[Bundle], dict[str, Any]]
    objective: Objective
    how: TrainingResources
    pictures: bool = True
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    def confirm(self, trials: Sequence[TrialRecord], ranking: Sequence[tuple[int, float]], top: int,
                repeats: Sequence[Repetition]) -> Confirmation:
        """Return what `repeats` say of the best trials; what has been trained already is not trained again."""
        picked = chosen(trials, self.objective, [number for number, _ in ranking], top)
        baseline = picked.baseline
        group = {trial.number: bundle_from(trial.bundle) for trial in [*picked.others, baseline]}
        self.known = self._train([repeat.of(bundle) for bundle in group.values() for repeat in repeats])
        names = [self.objective.metric, *([self.objective.keep.metric] if self.objective.keep else [])]
        spreads = {name: self._spreads(name, group, repeats) for name in names}
        sound = spreads[self.objective.metric]
        if baseline.number not in sound:
            raise ConfirmationError("the baseline diverged with a fresh seed; there is nothing to compare with.")
        lost = self._lost(group, spreads)
        champion = best({number: spread for number, spread in sound.items() if number not in lost}, baseline.number,
                        self.objective.sign)
        labels = {trial.number: trial.label for trial in [*picked.others, baseline]
                  if trial.label and (trial is baseline or trial.number not in lost)}
        start = best({number: spread for number, spread in sound.items() if number in labels}, baseline.number,
                     self.objective.sign)
        return self._judged(champion, dict(ranking)[champion], group, repeats, spreads, (start, labels[start]))

    def _spreads(self, name: str, group: dict[int, Bundle],
                 repeats: Sequence[Repetition]) -> dict[int, SeedStatistics]:
        """Return a figure on validation of the bundles that have it every time, by trial number."""
        values = {number: [self.known[repeat.of(bundle).key].get(name, math.nan) for repeat in repeats]
                  for number, bundle in group.items()}
        return {number: SeedStatistics.of(scores) for number, scores in values.items()
                if all(map(math.isfinite, scores))}

    def _lost(self, group: dict[int, Bundle], spreads: dict[str, dict[int, SeedStatistics]]) -> tuple[int, ...]:
        """Return the bundles that lose what is to be kept, on the mean over the seeds; the baseline is the last."""
        means = {number: {name: spread_of[number].mean for name, spread_of in spreads.items() if number in spread_of}
                 for number in group}
        return tuple(number for number in group if self.objective.lost(means[number], means[[*group][-1]]))

    def _train(self, trainings: Sequence[Training]) -> dict[str, dict[str, float]]:
        """Return the validation figures of each training by its key; weights lie in the folder."""
        with disk_errors(self.folder / WEIGHTS):
            (self.folder / WEIGHTS).mkdir(exist_ok=True)
        ledger = Ledger(self.folder / LEDGER)
        try:
            known: dict[str, dict[str, float]] = {
                training_key(line): line["metrics"] for line in ledger.lines if self._whole(line)}
            missing = [training for training in trainings if training.key not in known]
            self.how.on_progress(len(trainings) - len(missing), len(trainings))
            for training, outcome in self.how.engine.retrain(missing, self.dataset.without_test(), self.how.slots):
                weights = outcome.weights or b""
                write_atomic(self._path(training.key), weights)
                ledger.append("confirm", **outcome.record(training), weights=hashlib.sha256(weights).hexdigest())
                known[training.key] = ledger.lines[-1]["metrics"]
                self.how.on_progress(sum(each.key in known for each in trainings), len(trainings))
        finally:
            ledger.close()
        return known

    def _judged(self, champion: int, searched: float, group: dict[int, Bundle], repeats: Sequence[Repetition],
                spreads: dict[str, dict[int, SeedStatistics]], start: tuple[int, str]) -> Confirmation:
        """Read test and judge; the last of the group is the baseline."""
        word = self.objective.metric.removeprefix("val/")
        (*candidates, baseline) = group
        validation = spreads[self.objective.metric]
        keep = self.objective.keep
        folds = sum(repeat.fold is not None for repeat in repeats)
        rows = {number: [self._tested(repeat.of(group[number])) for repeat in repeats]
                for number in dict.fromkeys((champion, baseline, start[0]))}
        metrics = {number: [one.metrics for one in done] for number, done in rows.items()}
        test = {number: SeedStatistics.of([row[word] for row in done]) if word != SPEED else validation[number]
                for number, done in metrics.items()}
        difference = paired(self.objective.sign, test[champion].values, test[baseline].values, folds)
        gained = paired(self.objective.sign, test[champion].values, test[start[0]].values, folds)
        addition = Addition(*start, gained, added(gained, start[1], champion == start[0], champion == baseline))
        kept = None
        if keep:
            name = keep.metric.removeprefix("val/")
            ours, theirs = ([row[name] for row in metrics[number]] for number in (champion, baseline))
            kept = Constraint(name, keep.within, spreads[keep.metric], self._lost(group, spreads),
                              paired(metric(name).sign, ours, theirs, folds))
        confirmation = Confirmation(
            word, tuple(repeat.seed for repeat in repeats), tuple(candidates), champion, baseline, searched,
            validation, test, difference,
            self.objective.sign * (searched - validation[champion].mean),
            {number: {name: fmean(row[name] for row in done) for name in done[0]} for number, done in metrics.items()},
            verdict(difference, champion == baseline, kept), OVER_FOLDS if folds else METHOD,
            classes={number: ClassResults.of(done) for number, done in rows.items()}, kept=kept,
            addition=addition, folds=folds)
        write_json(self.folder / RESULT, confirmation.document())
        self._draw(rows[champion][0])
        return confirmation

    def _draw(self, result: TestResult) -> None:
        """Keep test images with what was found in them, for the report."""
        assert self.dataset.test is not None, "confirmation needs the test split"
        wanted = result.objects.shown if result.objects and self.pictures else ()
        pictures.write(self.folder, wanted, self.dataset.test)

    def weights(self, training: Training) -> bytes:
        """Return the weights of a training that is done."""
        return self._path(training.key).read_bytes()

    def _whole(self, line: Line) -> bool:
        """Return whether the weights of a training are there as they were written; else it is trained again."""
        try:
            weights = self._path(training_key(line)).read_bytes()
        except OSError:
            return False
        return "weights" not in line or bool(hashlib.sha256(weights).hexdigest() == line["weights"])

    def _path(self, key: str) -> Path:
        return self.folder / WEIGHTS / f"{key}.safetensors"

    def _tested(self, training: Training) -> TestResult:
        """Return what a training does on test; what has to be fitted is fitted on the images that validated it.

        Classes count as frequent or rare by the training split of the data, in every fold.
        """
        predictor = Predictor(self.document(training.bundle), load_weights(self.weights(training)), self.how.trust)
        validation = self.dataset.folded(training.fold).validation
        return tested(predictor.logits, replace(self.dataset, validation=validation))

import math
from dataclasses import replace

import pytest
import torch

from autotricks.core.bundle import Bundle
from autotricks.core.objective import SPEED, Keep, Objective
from autotricks.core.reporting import End
from autotricks.data import load as load_data
from autotricks.inference.predictor import Predictor
from autotricks.report import write
from autotricks.report.card import card
from autotricks.runs.folder import read_json
from autotricks.runs.ledger import TrialRecord, read
from autotricks.runs.trial import Outcome
from autotricks.space import load_bundle_file, load_space
from autotricks.space.sections import ConfirmSection
from autotricks.stats.intervals import Interval, interval, paired, unpaired
from autotricks.stats.test_results import Calibration, TestResult as Result
from autotricks.stats.verdict import Constraint, added, verdict
from autotricks.trainer import evaluate as on_test
from autotricks.trial import run_trial
from autotricks.tricks.catalog import bundle_from
from autotricks.tuning.engines.engine import TrainingOptions
from autotricks.tuning.engines.local import LocalEngine
from autotricks.workflows import search as experiment, sync
from autotricks.workflows.confirm import (
    ConfirmationError,
    Confirmer,
    SeedStatistics,
    TrainingResources,
    best,
    chosen,
    confirm,
    confirm_again,
    fresh_seeds,
    repetitions,
)

from .conftest import make_dataset
from .report.made import Page

METRIC = "val/balanced_accuracy"
SMALL = ["search.engine=local", "search.parallel=2", "search.trials=4", "training.epochs=3", "search.rungs.first=3",
         "confirm.top=2", "confirm.seeds=2"]


def record(number, score, label="", end="finished", hash_=None, seed=0):
    rungs = [{"metrics": {METRIC: score}, "end": None, "budget": 1, "epochs": 1}]
    bundle = {"training": {"seed": seed}}
    return TrialRecord(number, label, bundle, None, hash_ or f"h{number}", rungs, end)


def test_interval_by_the_table_of_student():
    found = interval([0.1, 0.2, 0.3, 0.4, 0.5])    # t(.975, 4) = 2.776, standard error .1581 / sqrt(5)
    assert found.mean == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.3 - 2.7764 * 0.0707107, 0.3 + 2.7764 * 0.0707107), abs=1e-5)
    assert interval([0.1]) == Interval(0.1, -math.inf, math.inf)


def test_interval_over_folds_by_nadeau_and_bengio():
    """Differences 1, 2, 3, 4, 5: S^2 = 2.5; of five folds a fifth validates, so 1/5 + 1/4; t(.975, 4) = 2.7764."""
    found = paired(1, [2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 2.0, 3.0, 4.0, 5.0], folds=5)
    half = 2.7764 * (2.5 * (1 / 5 + 1 / 4)) ** 0.5
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3.0 - half, 3.0 + half), abs=1e-3)
    wider = interval([2 - 2 ** 0.5, 2 + 2 ** 0.5])      # of twice the variance: 1/2 + 1/2 in place of 1/2
    assert interval([1.0, 3.0], overlap=0.5).low == pytest.approx(wider.low)


def test_paired_differences_are_turned_so_that_more_is_better():
    """Differences of 1 and 2: t(.975, 1) = 12.7062, standard error 1/2."""
    ours, theirs = [3.0, 5.0], [2.0, 3.0]
    more, less = paired(1, ours, theirs), paired(-1, ours, theirs)
    assert (more.mean, more.low, more.high) == pytest.approx((1.5, 1.5 - 6.3531, 1.5 + 6.3531), abs=1e-4)
    assert (less.mean, less.low, less.high) == pytest.approx((-1.5, -1.5 - 6.3531, -1.5 + 6.3531), abs=1e-4)


def test_interval_of_two_groups_by_welch():
    """By hand: variances 1 and 4 over 3 each, so 5/3; degrees (5/3)^2 / ((1/9 + 16/9) / 2) = 50/17."""
    found = unpaired([5.0, 6.0, 7.0], [1.0, 3.0, 5.0])
    half = 3.2186 * (5 / 3) ** 0.5              # t(.975, 2.941)
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3.0 - half, 3.0 + half), abs=2e-3)
    assert unpaired([1.0], [2.0, 3.0]) == Interval(-1.5, -math.inf, math.inf)
    assert unpaired([2.0, 2.0], [1.0, 1.0]) == Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(("difference", "same", "said"), [
    (Interval(0.1, 0.01, 0.2), False, "better than the baseline"),
    (Interval(-0.1, -0.2, -0.01), False, "worse than the baseline"),
    (Interval(0.1, -0.01, 0.2), False, "no evidence of improvement: the interval holds zero"),
    (Interval(0.1, -math.inf, math.inf), False, "no evidence of improvement"),
    (Interval(0.0, 0.0, 0.0), True, "no evidence of improvement: the baseline itself was the best on validation")])
def test_verdicts(difference, same, said):
    assert verdict(difference, same) == said


def numbers(trials):
    return [trial.number for trial in trials]


def test_the_best_beside_the_baseline_are_chosen():
    """In the order of the ranking, whatever the scores; what was not trained to the end is none of them."""
    trials = [record(0, 0.5, "baseline"), record(1, 0.7), record(2, 0.9, end="stopped"), record(3, 0.8),
              record(4, 0.6), record(5, 0.5, hash_="h0")]
    picked = chosen(trials, Objective(METRIC), [2, 3, 1, 4, 0], 2)
    assert picked.baseline.number == 0 and numbers(picked.others) == [3, 1]
    assert numbers(chosen(trials, Objective(METRIC), [4, 1, 0, 3], 9).others) == [4, 1, 3]
    assert numbers(chosen(trials, Objective(METRIC), [5, 0], 9).others) == [], "the baseline under another number"
    with pytest.raises(ConfirmationError, match="Put baseline among"):
        chosen(trials[1:], Objective(METRIC), [3, 1, 4], 2)


@pytest.mark.parametrize(("ranking", "others", "start"), [
    ([4, 3, 1, 2, 0], [4, 3, 1], 1),       # too far down to be among the best two
    ([4, 3, 2, 1, 0], [4, 3, 2], 2),       # the better of two
    ([1, 4, 2, 0, 3], [1, 4], 1),          # among the best anyhow
    ([4, 3, 0, 1, 2], [4, 3], 0),          # the baseline is the best of them
    ([0, 1, 4, 2, 3], [1, 4], 0)])
def test_the_best_start_bundle_is_always_trained_again(ranking, others, start):
    trials = [record(0, 0.5, "baseline"), record(1, 0.6, "published"), record(2, 0.6, "another"), record(3, 0.7),
              record(4, 0.8)]
    picked = chosen(trials, Objective(METRIC), ranking, 2)
    assert (numbers(picked.others), picked.start.number, picked.baseline.number) == (others, start, 0)


def test_a_start_bundle_that_broke_down_is_not_the_best_of_them():
    trials = [record(0, 0.5, "baseline"), record(1, 0.9, "published", end="diverged"), record(2, 0.7)]
    picked = chosen(trials, Objective(METRIC), [1, 2, 0], 2)
    assert (numbers(picked.others), picked.start.number) == ([2], 0)


def test_fresh_seeds_are_none_of_the_search():
    trials = [record(0, 0.5), record(1, 0.6, seed=1001), record(2, 0.7, seed=1002), record(3, 0.8, seed=999)]
    assert fresh_seeds(trials, 3) == (1000, 1003, 1004)
    assert fresh_seeds(trials[:1], 2) == (1000, 1001) and fresh_seeds([], 1) == (1000,)


@pytest.mark.parametrize(("difference", "name", "same", "nothing", "said"), [
    (Interval(0.1, 0.01, 0.2), "mixup_recipe", False, False, "added to the published bundle mixup_recipe"),
    (Interval(0.1, 0.01, 0.2), "baseline", False, False, "added to the baseline"),
    (Interval(-0.1, -0.2, -0.01), "mixup_recipe", False, False, "worse than the published bundle mixup_recipe"),
    (Interval(-0.1, -0.2, -0.01), "baseline", False, False, "worse than the baseline"),
    (Interval(0.1, -0.01, 0.2), "mixup_recipe", False, False,
     "no evidence that it added anything to mixup_recipe: the interval holds zero"),
    (Interval(0.1, -math.inf, math.inf), "baseline", False, False,
     "no evidence that it added anything to baseline: one seed gives no interval"),
    (Interval(0.0, 0.0, 0.0), "mixup_recipe", True, False,
     "no more than the published bundle mixup_recipe: on validation nothing was better"),
    (Interval(0.0, 0.0, 0.0), "baseline", True, True,
     "nothing helps: on validation no bundle was better than the baseline"),
    (Interval(-0.1, -0.2, -0.01), "mixup_recipe", False, True,
     "nothing helps: on validation no bundle was better than the baseline")])
def test_what_the_search_added_in_words(difference, name, same, nothing, said):
    assert added(difference, name, same, nothing) == said


@pytest.mark.parametrize(("end", "said"), [("diverged", "diverged"), ("out_of_memory", "out_of_memory"),
                                           (None, "unfinished")])
def test_a_baseline_that_broke_down_is_not_said_to_be_absent(end, said):
    with pytest.raises(ConfirmationError) as caught:
        chosen([record(0, None, "baseline", end), record(1, 0.7)], Objective(METRIC), [1], 2)
    assert caught.value.problems == (
        f"the baseline was not trained to the end ({said}); there is nothing to compare with.",)


def test_those_that_lost_too_much_in_the_search_are_not_trained_again():
    trials = [record(0, 0.5, "baseline"), record(1, 0.7), record(2, 0.9)]
    for trial, accuracy in zip(trials, (0.9, 0.85, 0.7)):
        trial.rungs[-1]["metrics"]["val/accuracy"] = accuracy
    kept = Objective(METRIC, True, Keep("val/accuracy", 0.1))
    picked = chosen(trials, kept, [2, 1, 0], 9)
    assert numbers(picked.others) == [1] and picked.start.number == 0
    published = [trials[0], trials[1], replace(trials[2], label="published")]
    assert chosen(published, kept, [2, 1, 0], 9).start.number == 0, "nor is it a start bundle to compare with"


def test_what_is_lost_on_test_is_no_improvement():
    faster, kept = Interval(50.0, 40.0, 60.0), Constraint("accuracy", 0.01, {}, (), Interval(-0.0312, -0.05, -0.01))
    assert verdict(faster, False, kept) == (
        "no evidence of improvement: on test accuracy is 0.0312 worse, more than 0.01")
    assert verdict(faster, False, Constraint("accuracy", 0.04, {}, (), kept.difference)) == "better than the baseline"


def test_the_best_on_validation_is_the_champion():
    values = {7: [0.5, 0.75], 8: [0.5, 0.5], 9: [0.25, 1.0]}    # means of .625, .5, .625
    three = {number: SeedStatistics.of(scores) for number, scores in values.items()}
    assert best(three, 7, 1) == 7 and best(three, 9, 1) == 9, "what only equals the baseline is no champion"
    assert best(three, 7, -1) == 8, "where less is better"


def test_spread():
    assert SeedStatistics.of([1.0, 3.0]) == SeedStatistics(2.0, pytest.approx(2 ** 0.5), (1.0, 3.0))
    assert math.isnan(SeedStatistics.of([1.0]).deviation)


class Handed:
    """An engine that trains nothing: figures of validation by bundle and seed; it notes the test split handed to it."""

    def __init__(self, figures=None):
        self.figures, self.test = figures or {}, []

    def run(self, search, dataset, folder, slots):
        self.test.append(dataset.test)
        return slots

    def retrain(self, trainings, dataset, slots):
        self.test.append(dataset.test)
        for training in trainings:
            score = self.figures[training.bundle.epochs, training.bundle.seed]
            yield training, Outcome(0, End.FINISHED, {METRIC: score}, [], 1.0, 1.0)

    def call(self, function, *arguments):
        return function(*arguments)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_confirmation_by_hand(tmp_path, monkeypatch, sign):
    """Two seeds. On test the champion is .05 and .15 better: .1, and t(.975, 1) = 12.7062 by standard error .05.

    On validation it is .2 and .3 better, its mean is .8, and the search had thought .95 of it. Where less is better all
    of it is turned round.
    """
    base, other = Bundle(epochs=1), Bundle(epochs=2)     # told apart by their epochs
    validation = {(1, 1000): 0.5, (1, 1001): 0.6, (2, 1000): 0.7, (2, 1001): 0.9}
    test = {(1, 1000): 0.4, (1, 1001): 0.5, (2, 1000): 0.45, (2, 1001): 0.65}
    trials = [TrialRecord(number, label, bundle.document(), None, bundle.hash,
                          [{"metrics": {METRIC: sign * score}, "end": "finished"}], "finished")
              for number, label, bundle, score in ((0, "baseline", base, 0.55), (1, "", other, 0.95))]

    def known(judge, training):
        bundle = training.bundle
        figures = {"balanced_accuracy": sign * test[bundle.epochs, bundle.seed], "calibration_error": 0.25}
        confusion = torch.eye(4, dtype=torch.int64).tolist()
        return Result(figures, {"recall": [1.0] * 4}, confusion, Calibration(1.0, 0.25, 0.125))
    monkeypatch.setattr(Confirmer, "_tested", known)
    engine = Handed({key: sign * value for key, value in validation.items()})
    judge = Confirmer(tmp_path, make_dataset(), lambda bundle: {}, Objective(METRIC, sign == 1),
                      TrainingResources(engine))
    told = judge.confirm(trials, [(1, sign * 0.95), (0, sign * 0.55)], 1, repetitions(trials, 2))
    assert (told.champion, told.baseline, told.seeds, told.candidates) == (1, 0, (1000, 1001), (1,))
    assert told.test[1].values == (sign * 0.45, sign * 0.65) and told.validation[1].mean == pytest.approx(sign * 0.8)
    assert (told.difference.mean, told.difference.low, told.difference.high) == pytest.approx(
        (0.1, 0.1 - 12.7062 * 0.05, 0.1 + 12.7062 * 0.05), abs=1e-4)
    assert told.optimism == pytest.approx(0.15)
    assert told.verdict == "no evidence of improvement: the interval holds zero"
    assert make_dataset().test is not None and engine.test == [None], "the trainings were handed the test images"


def test_the_trials_of_a_search_are_not_handed_the_test_images(tmp_path):
    engine = Handed()
    experiment.search(load_space("long_tail.yaml", SMALL), experiment.Options(
        root=tmp_path, tracking="off", engine=engine, confirm=False))
    assert engine.test == [None]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A small search, confirmed; what was read of test."""
    read_of_test = []

    def noted(predict, split, outputs=on_test.outputs):
        read_of_test.append(len(split))
        return outputs(predict, split)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_test, "outputs", noted)
        loaded = load_space("long_tail.yaml", SMALL)
        result = experiment.search(loaded, experiment.Options(root=tmp_path_factory.mktemp("runs"), tracking="off"))
    return loaded, result, read_of_test


def test_it_says_what_single_trainings_say(found):
    """Against trainings in this process, and test figures taken from their models by hand."""
    loaded, result, _ = found
    confirmation = result.confirmation
    data = load_data(loaded.document.data.settings()).dataset
    for number in {confirmation.champion, confirmation.baseline, confirmation.addition.start}:
        bundle = bundle_from(next(trial for trial in result.trials if trial.number == number).bundle)
        for place, seed in enumerate(confirmation.seeds):
            single = run_trial(replace(bundle, seed=seed), data)
            assert single.metrics[METRIC] == confirmation.validation[number].values[place]
            on_test = run_trial(replace(bundle, seed=seed), replace(data, validation=data.test))
            assert on_test.metrics[METRIC] == pytest.approx(confirmation.test[number].values[place], abs=1e-6)
    ours = confirmation.test[confirmation.champion].values
    for other, difference in ((confirmation.baseline, confirmation.difference),
                              (confirmation.addition.start, confirmation.addition.difference)):
        pairs = zip(ours, confirmation.test[other].values)
        assert difference == interval([one - base for one, base in pairs])
    assert confirmation.optimism == pytest.approx(
        confirmation.searched - confirmation.validation[confirmation.champion].mean)


def test_test_is_read_for_champion_baseline_and_best_start_bundle_alone(found):
    loaded, result, read_of_test = found
    confirmation = result.confirmation
    judged = {confirmation.champion, confirmation.baseline, confirmation.addition.start}
    data = load_data(loaded.document.data.settings()).dataset
    assert read_of_test == [len(data.test), len(data.validation)] * 2 * len(judged)
    assert set(confirmation.test) == judged
    assert set(confirmation.validation) == {*confirmation.candidates, confirmation.baseline}


def test_the_best_start_bundle_is_what_the_search_is_measured_by(found):
    """Of those that the search began with, the best mean on validation; both of them were trained again."""
    _, result, _ = found
    confirmation = result.confirmation
    labels = {trial.number: trial.label for trial in result.trials if trial.label}
    assert len(labels) == 2 and set(labels) <= set(confirmation.validation)
    start = max(labels, key=lambda number: confirmation.validation[number].mean)
    addition = confirmation.addition
    assert (addition.start, addition.name) == (start, labels[start])
    assert addition.verdict == added(addition.difference, labels[start], confirmation.champion == start,
                                     confirmation.champion == confirmation.baseline)
    told = sync.confirmed_metrics(confirmation.document())
    assert told["test/added"] == addition.difference.mean
    assert (told["test/added_low"], told["test/added_high"]) == (addition.difference.low, addition.difference.high)
    page = Page((result.folder / "report.html").read_text("utf-8"))
    assert addition.verdict in page.sections[""] and addition.verdict in card(result.folder).replace("\\", "")


def test_the_champion_is_the_best_on_validation_with_the_weights_of_a_fresh_seed(found):
    loaded, result, _ = found
    confirmation = result.confirmation
    means = {number: spread.mean for number, spread in confirmation.validation.items()}
    assert means[confirmation.champion] == max(means.values())
    exported = load_bundle_file(result.folder / "champion.yaml")
    assert exported.bundle.seed == confirmation.seeds[0] == 1000
    assert exported.document.result["confirmed"]["verdict"] == confirmation.verdict
    assert exported.document.result["score"] == confirmation.validation[confirmation.champion].values[0]
    data = load_data(loaded.document.data.settings()).dataset
    figures = on_test.measured(Predictor.load(result.folder).logits, data.test, data)
    assert figures["balanced_accuracy"] == confirmation.test[confirmation.champion].values[0]
    assert read_json(result.folder / "confirm.json") == confirmation.document()


def test_the_report_is_written_and_says_the_same(found):
    _, result, _ = found
    confirmation = result.confirmation
    page = Page((result.folder / "report.html").read_text("utf-8"))
    assert confirmation.verdict[1:] in page.sections[""]
    assert {confirmation.difference.mean, confirmation.test[confirmation.champion].mean,
            confirmation.test[confirmation.baseline].mean, confirmation.searched} <= set(page.values)
    drawn = sorted(float(dot["data-value"]) for dot in page.marks("circle", "dot"))
    assert drawn == sorted(line["metrics"][METRIC] for trial in result.trials for line in trial.rungs)
    assert f"torch{torch.__version__.split('+')[0]}" in page.text.replace("\n", "")


def test_classes_are_those_of_the_exported_weights(found):
    """Of the first seed's model, whose weights are the champion's; the bundle file does not carry them."""
    loaded, result, _ = found
    test = load_data(loaded.document.data.settings()).dataset.test
    taken = Predictor.load(result.folder).predict(test.images.permute(0, 2, 3, 1).numpy()).argmax(1)
    classes = result.confirmation.classes[result.confirmation.champion]
    for place, spread in enumerate(classes.by_class["recall"]):
        assert spread.values[0] == pytest.approx((taken[test.targets.single == place] == place).mean())
    assert [sum(row) for row in classes.confusion] == (2 * test.targets.single.bincount()).tolist(), "two seeds"
    assert "classes" not in load_bundle_file(result.folder / "champion.yaml").document.result["confirmed"]


def test_what_was_trained_is_kept(found):
    _, result, _ = found
    before = (result.folder / "confirm.jsonl").read_text()
    trained = []

    class Counting(LocalEngine):
        def retrain(self, trainings, *rest):
            trained.extend(trainings)
            return super().retrain(trainings, *rest)
    engine = Counting(TrainingOptions())
    again = confirm_again(result.folder, ConfirmSection(top=2, seeds=2), engine=engine)
    assert trained == [] and again.test == result.confirmation.test
    more = confirm_again(result.folder, ConfirmSection(top=2, seeds=3), engine=engine)
    assert {training.bundle.seed for training in trained} == {1002}
    assert len(trained) == len(result.confirmation.validation) == len(more.validation)
    assert more.validation[0].values[:2] == result.confirmation.validation[0].values
    assert (result.folder / "confirm.jsonl").read_text().startswith(before)


def test_a_resumed_search_has_its_confirmation_already(found):
    _, result, _ = found
    lines, _ = read(result.folder / "confirm.jsonl")
    options = experiment.Options(root=result.folder.parent, resume=result.folder, tracking="off")
    again = experiment.search(experiment.resume(result.folder), options)
    assert read(result.folder / "confirm.jsonl")[0] == lines
    assert again.confirmation.validation[0].values == result.confirmation.validation[0].values[:2]


def test_the_fastest_that_keeps_accuracy(tmp_path):
    """Confirmed speeds and accuracies are set by hand: trial 1 is the fastest but loses 0.1, trial 2 loses 0.01."""
    keep = "objective={metric: train/images_per_second, mode: max, keep: {metric: val/accuracy, within: 0.05}}"
    loaded = load_space("long_tail.yaml", [*SMALL, keep, "search.trials=3", "training.epochs=2",
                                           "search.rungs.first=2", "search.sampler=random"])
    result = experiment.search(loaded, experiment.Options(root=tmp_path, tracking="off", confirm=False))
    data = load_data(loaded.document.data.settings())
    speeds, accuracies = (100.0, 300.0, 200.0), (0.9, 0.8, 0.89)
    hashes = {}
    for trial in result.trials:
        trial.rungs[-1]["metrics"].update({SPEED: speeds[trial.number], "val/accuracy": 0.9})
        for seed in (1000, 1001):
            hashes[replace(bundle_from(trial.bundle), seed=seed).hash] = trial.number

    class Made(LocalEngine):
        """One whose speeds and accuracies are set by hand."""

        def retrain(self, *given):
            for training, outcome in super().retrain(*given):
                number = hashes[training.bundle.hash]
                outcome.metrics.update({SPEED: speeds[number] + training.bundle.seed % 2,
                                        "val/accuracy": accuracies[number]})
                yield training, outcome
    found, champion = confirm(result.folder, loaded, data, result.trials, TrainingResources(Made(TrainingOptions()), 2))
    assert (found.champion, found.kept.lost) == (2, (1,)) and champion.trial.number == 2
    assert (found.addition.start, found.addition.name) == (0, "baseline"), "trial 1 cannot be champion either"
    assert found.addition.difference == found.difference and found.addition.verdict == "added to the baseline"
    assert found.test[2].values == (200.0, 201.0) and found.difference.mean == 100.0
    exported = load_bundle_file(result.folder / "champion.yaml").document.result
    assert exported["trial"] == 2 and exported["confirmed"]["kept"]["lost"] == [1]
    page = Page(write(result.folder).read_text("utf-8"))
    figures = on_test.measured(Predictor.load(result.folder).logits, data.dataset.test, data.dataset)
    assert found.figures[2]["accuracy"] - found.figures[0]["accuracy"] == pytest.approx(found.kept.difference.mean)
    assert figures["accuracy"] <= 1 and {100.0, 200.5, found.kept.difference.mean} <= set(page.values)
    assert "cannot be champion: mixup_balanced_softmax (trial 1)" in page.text.replace("\n", " ")
    told, text = sync.confirmed_metrics(found.document()), card(result.folder)
    assert told["test/images_per_second"] == 200.5 and told["test/baseline_images_per_second"] == 100.5
    assert told["test/accuracy_difference"] == found.kept.difference.mean
    assert "**images per second** in training" in text and "may be lost." in text


def test_training_loss_is_not_confirmed(tmp_path):
    loaded = load_space("long_tail.yaml", [*SMALL, "search.trials=1", "start=[]",
                                            "objective={metric: train/loss, mode: min}"])
    result = experiment.search(loaded, experiment.Options(root=tmp_path, tracking="off"))
    assert result.confirmation is None and result.champion
    assert result.notices == ("not confirmed: train/loss is no figure of images that training has not seen.",)
    with pytest.raises(ConfirmationError):
        confirm(result.folder, loaded, load_data(loaded.document.data.settings()), result.trials,
                TrainingResources(LocalEngine(TrainingOptions())))

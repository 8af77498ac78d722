"""Confirmation over folds: a search on digits from end to end, and what is said of it."""
from dataclasses import replace
from statistics import fmean, stdev

import pytest
from safetensors.torch import load_file

from autotricks.core.dataset import Fold
from autotricks.data import load as load_data
from autotricks.data.folds import with_folds
from autotricks.errors import DataError
from autotricks.export.bundle import read as read_bundle
from autotricks.inference.predictor import Predictor
from autotricks.report.card import card
from autotricks.runs.ledger import read
from autotricks.runs.trial import Training
from autotricks.space import load_bundle_file, load_space
from autotricks.space.sections import ConfirmSection
from autotricks.tasks.classification.testing import temperature
from autotricks.tracking.model_registry import compared
from autotricks.trainer.evaluate import measured, outputs
from autotricks.trial import run_trial
from autotricks.tricks.catalog import bundle_from
from autotricks.workflows import search as experiment, sync
from autotricks.workflows.confirm import confirm_again

from .report.made import Page
from .search.scripted import in_threads

METRIC = "val/balanced_accuracy"
SMALL = ["search.engine=local", "search.parallel=1", "search.trials=2", "training.epochs=2", "search.rungs.first=2",
         "data.test=0.6", "confirm={top: 1, folds: 3}"]
FOLDS = [Fold(number, 3) for number in range(3)]


class Interrupted:
    """An engine that hears Ctrl-C, once, before the third training is taken in; it notes what it trained."""

    def __init__(self):
        self.engine, self.trained, self.stopped = in_threads(), [], False

    def run(self, *given):
        return self.engine.run(*given)

    def call(self, function, *arguments):
        return function(*arguments)

    def retrain(self, *given):
        for place, pair in enumerate(self.engine.retrain(*given)):
            if place == 2 and not self.stopped:
                self.stopped = True
                raise KeyboardInterrupt
            self.trained.append(pair[0])
            yield pair


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A small search, interrupted while it was confirmed and resumed."""
    loaded = load_space("long_tail.yaml", SMALL)
    root = tmp_path_factory.mktemp("runs")
    engine = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        experiment.search(loaded, experiment.Options(root=root, tracking="off", engine=engine))
    folder = next(root.iterdir())
    result = experiment.search(experiment.resume(folder), experiment.Options(
        root=root, resume=folder, tracking="off", engine=engine))
    return loaded, result, engine


def test_each_bundle_is_trained_once_a_fold_with_a_seed_of_its_own_and_what_was_done_is_kept(found):
    _, result, engine = found
    told = result.confirmation
    assert (told.folds, told.seeds, told.over) == (3, (1000, 1001, 1002), "3 folds")
    assert engine.stopped and len(engine.trained) == len({*engine.trained}) == 3 * len(told.validation)
    assert {(each.fold, each.bundle.seed) for each in engine.trained} == {*zip(FOLDS, told.seeds)}
    lines, _ = read(result.folder / "confirm.jsonl")
    assert sorted((line["hash"], line["fold"]) for line in lines) == sorted(
        (each.bundle.hash, str(each.fold)) for each in engine.trained)


def test_it_says_what_trainings_of_each_fold_say(found):
    """Against trainings in this process; the interval by hand: t(.975, 2) = 4.3027, and 1/3 + 1/2."""
    loaded, result, _ = found
    told = result.confirmation
    data = with_folds(load_data(loaded.document.data.settings()).dataset, 3, loaded.document.data.seed)
    for number in {told.champion, told.baseline, told.addition.start}:
        bundle = bundle_from(next(trial for trial in result.trials if trial.number == number).bundle)
        for place, (fold, seed) in enumerate(zip(FOLDS, told.seeds)):
            part = data.folded(fold)
            single = run_trial(replace(bundle, seed=seed), part)
            assert single.metrics[METRIC] == told.validation[number].values[place]
            if place == 1:
                test = run_trial(replace(bundle, seed=seed), replace(part, validation=data.test))
                assert test.metrics[METRIC] == pytest.approx(told.test[number].values[place], abs=1e-6)
    differences = [one - other for one, other in zip(told.test[told.champion].values, told.test[told.baseline].values)]
    half = 4.302653 * stdev(differences) * (1 / 3 + 1 / 2) ** 0.5
    assert (told.difference.mean, told.difference.low, told.difference.high) == pytest.approx(
        (fmean(differences), fmean(differences) - half, fmean(differences) + half))
    assert told.method == "paired differences over folds, corrected resampled t"


def test_the_champion_has_the_weights_of_the_first_fold(found):
    loaded, result, _ = found
    told = result.confirmation
    data = load_data(loaded.document.data.settings()).dataset
    figures = measured(Predictor.load(result.folder).logits, data.test, data)
    assert figures["balanced_accuracy"] == told.test[told.champion].values[0]
    exported = load_bundle_file(result.folder / "champion.yaml")
    assert exported.bundle.seed == 1000 and exported.document.result["confirmed"]["folds"] == 3
    assert exported.document.result["score"] == told.validation[told.champion].values[0]


def test_that_folds_are_of_a_shorter_tail_is_said_before(found):
    assert sum("folds are of train and validation together" in notice for notice in found[1].notices) == 1


def test_confidence_is_fitted_on_the_images_that_validated(found):
    loaded, result, _ = found
    told = result.confirmation
    data = with_folds(load_data(loaded.document.data.settings()).dataset, 3, loaded.document.data.seed)
    document = load_bundle_file(result.folder / "champion.yaml")
    temperatures = []
    for fold, seed in zip(FOLDS, told.seeds):
        training = Training(replace(document.bundle, seed=seed), fold)
        predictor = Predictor(read_bundle(result.folder / "champion.yaml"),
                              load_file(result.folder / "confirm" / f"{training.key}.safetensors"))
        held = data.folded(fold).validation
        temperatures.append(temperature(outputs(predictor.logits, held), held.targets.single))
    assert told.classes[told.champion].calibration.temperature == pytest.approx(fmean(temperatures))


def test_report_and_card_say_over_what(found):
    loaded, result, _ = found
    page = Page((result.folder / "report.html").read_text("utf-8"))
    text = " ".join(page.text.split())
    assert "3 folds, paired differences over folds, corrected resampled t" in text and "3 fresh seeds" not in text
    assert "The interval covers the luck of which images train and which validate, and of seeds, over 3 folds" in text
    assert "dots are folds" in text and "Folds, mean of 3" in text
    counts = load_data(loaded.document.data.settings()).facts["counts"]
    whole = [sum(pair) for pair in zip(counts["train"], counts["validation"])]
    assert (f"{sum(whole):,} images, imbalance {max(whole) / min(whole):.3g}. The search trained on "
            f"{sum(counts['train']):,}, imbalance {max(counts['train']) / min(counts['train']):.3g}.") in text
    written = card(result.folder).replace("\\", "")
    assert "mean of 3 folds." in written and "are those of fold 1 of 3, seed 1000" in written


def test_folds_and_seeds_are_kept_apart(found):
    """The same bundle with the same seed is another training over a fold."""
    _, result, engine = found
    before = len(engine.trained)
    told = confirm_again(result.folder, ConfirmSection(top=1, seeds=2), engine=engine)
    new = engine.trained[before:]
    assert told.folds == 0 and {each.fold for each in new} == {None} and {each.bundle.seed for each in new} == {
        1000, 1001}
    again = confirm_again(result.folder, ConfirmSection(top=1, folds=3), engine=engine)
    assert engine.trained[before:] == new and again.test == result.confirmation.test
    assert again.difference == result.confirmation.difference
    lines, _ = read(result.folder / "confirm.jsonl")
    told = again.document()
    shown = [(line, sync._on_test(told, again.champion, line)) for line in lines]
    assert all(bool(values) == ("fold" in line) for line, values in shown)
    assert [values["test/balanced_accuracy"] for line, values in shown if line.get("fold") == "2 of 3"] == [
        again.test[again.champion].values[1]] * len(again.validation)


@pytest.mark.parametrize(("words", "said"), [
    (("--seeds", "2", "--folds", "3"), "confirm.folds: seeds are given too; each fold is trained with a seed of its "
                                       "own. Leave one of them out.\n"),
    (("--top", "101"), "confirm.top: 101 is not allowed; top must be less than or equal to 100.\n")])
def test_what_cannot_be_confirmed_is_one_line(found, here, words, said):
    code, out, err = here("confirm", str(found[1].folder), *words)
    assert (code, out) == (2, "") and err.endswith(said) and err.count("\n") == 1


def test_the_command_says_over_what(found, here):
    code, out, _ = here("confirm", str(found[1].folder), "--top", "1", "--folds", "3", "--tracking", "off")
    assert code == 0 and "Confirmed over 3 folds, on test: " in out and "(validation, over the same folds)" in out


def test_too_many_folds_are_refused_before_anything_is_written(tmp_path):
    loaded = load_space("long_tail.yaml", [*SMALL, "confirm.folds=1000", "data.imbalance={factor: 30}"])
    with pytest.raises(DataError, match=r"confirm\.folds: train and validation have too few images for 1000 folds\."):
        experiment.search(loaded, experiment.Options(root=tmp_path, tracking="off"))
    assert [*tmp_path.iterdir()] == []


def tags(test, folds="5", seeds="[0, 1, 2, 3, 4]"):
    return {"fingerprint": "f", "metric": METRIC, "mode": "max", "seeds": seeds, "folds": folds, "test": str(test)}


def test_the_registry_pairs_the_same_folds_alone():
    """Differences of 1 to 5: mean 3, S^2 = 2.5, t(.975, 4) = 2.77645, times 1/5 over seeds and 1/5 + 1/4 over folds."""
    ours, theirs = [2.0, 4.0, 6.0, 8.0, 10.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    better, why = compared(tags(ours), tags(theirs), "m/1")
    assert better and "+3.0000, 95% interval +0.0551 to +5.9449 (paired, 5 folds)" in why
    assert "interval +1.0368 to +4.9632 (paired, 5 seeds)" in compared(tags(ours, "0"), tags(theirs, "0"), "m/1")[1]
    for other in (tags(theirs, "0"), tags(theirs, seeds="[9]")):
        better, why = compared(tags(ours), other, "m/1")
        assert not better and "compare with those of the same folds alone" in why

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn

from autotricks.core.dataset import Dataset, Split
from autotricks.trainer.evaluate import CHUNK, calibration_error, evaluate, figures, groups, names
from tests.conftest import make_run

COUNTS = torch.tensor([400.0, 101.0, 100.0, 20.0, 19.0, 3.0])  # many, many, medium, medium, few, few


def predictions(count=900, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 6, (count,), generator=generator)
    logits = torch.randn(count, 6, generator=generator) * 2
    logits[torch.arange(count), labels] += torch.tensor([3.0, 2.5, 2.0, 1.0, 0.5, 0.0])[labels]
    return logits, labels


def named(logits, labels, counts=COUNTS):
    return dict(zip(names(counts, labels), figures(logits, labels, counts).tolist(), strict=True))


def binned_error(confidence, right):
    """Guo et al., equation 3, bin by bin; the m-th of 15 bins is ((m - 1) / 15, m / 15]."""
    error = 0.0
    for place in range(15):
        inside = (confidence > place / 15) & (confidence <= (place + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_figures_equal_those_of_scikit_learn():
    logits, labels = predictions()
    found, truth, guess = named(logits, labels), labels.numpy(), logits.argmax(1).numpy()
    probabilities = logits.double().softmax(1).numpy()
    recall = metrics.recall_score(truth, guess, average=None)
    assert found == pytest.approx({
        "loss": metrics.log_loss(truth, probabilities),
        "accuracy": metrics.accuracy_score(truth, guess),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, guess),
        "calibration_error": binned_error(probabilities.max(1), guess == truth),
        "many_shot": recall[:2].mean(), "medium_shot": recall[2:4].mean(), "few_shot": recall[4:].mean()}, abs=1e-6)
    assert len({round(value, 3) for value in found.values()}) == 7  # no two figures could be mistaken for each other


def test_figures_by_hand():
    # Class 0: two of three right; class 1: none of one; class 2 does not occur and is not counted.
    right, wrong = torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 2.0])
    found = named(torch.stack([right, right, wrong, right]), torch.tensor([0, 0, 0, 1]), torch.tensor([200.0, 50, 50]))
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["many_shot"] == pytest.approx(2 / 3) and found["medium_shot"] == 0
    assert "few_shot" not in found


def test_edges_of_many_medium_and_few():
    assert {name: mask.tolist() for name, mask in groups(COUNTS, COUNTS >= 0).items()} == {
        "many_shot": [True, True, False, False, False, False],
        "medium_shot": [False, False, True, True, False, False],
        "few_shot": [False, False, False, False, True, True]}


def test_a_group_whose_classes_the_split_lacks_is_left_out_or_finite():
    logits, labels = predictions()
    seen = labels < 4
    assert figures(logits[seen], labels[seen], COUNTS).isfinite().all()


def test_calibration_error_by_hand():
    # Bin (.6, .667]: 2 of 4 right at .65, gap .15. Bin (.933, 1]: 5 of 6 right at .95, gap .1167.
    confidence = torch.tensor([0.65] * 4 + [0.95] * 6)
    right = torch.tensor([1.0, 1, 0, 0] + [1.0] * 5 + [0.0])
    assert calibration_error(confidence, right).item() == pytest.approx(0.4 * 0.15 + 0.6 * (0.95 - 5 / 6), abs=1e-6)


@pytest.mark.parametrize(("confidence", "right", "error"), [
    ((0.94, 0.96), (0.9, 1.0), 0.0),                # one bin: the gaps cancel
    ((0.40, 0.96), (0.9, 0.0), (0.5 + 0.96) / 2),   # two bins, gaps of opposite sign
    ((0.05, 0.10), (1.0, 0.0), (0.95 + 0.1) / 2),   # the first two bins
    ((0.95, 1.00), (1.0, 0.0), (1.0 - 0.05) / 2)])  # 1 belongs to the last bin
def test_gaps_cancel_within_a_bin_only(confidence, right, error):
    found = calibration_error(torch.tensor(confidence), torch.tensor(right))
    assert found.item() == pytest.approx(error, abs=1e-6)


def test_certain_and_right_is_calibrated():
    assert calibration_error(torch.ones(5), torch.ones(5)).item() == 0
    assert calibration_error(torch.ones(5), torch.zeros(5)).item() == 1


def test_images_are_normalized_channel_by_channel():
    run = replace(make_run(), mean=torch.tensor([0.5, 0.2]).view(-1, 1, 1), std=torch.tensor([0.5, 0.1]).view(-1, 1, 1))
    images = torch.tensor([255, 51], dtype=torch.uint8).view(1, 2, 1, 1)
    assert run.normalize(images).flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


def test_a_split_larger_than_a_chunk_is_evaluated_whole():
    run, count = make_run(), 2 * CHUNK + 7
    generator = torch.Generator().manual_seed(0)
    split = Split(torch.randint(0, 256, (count, 2, 4, 4), generator=generator, dtype=torch.uint8),
                  torch.randint(0, 3, (count,), generator=generator))
    sizes = []

    def predict(images):
        sizes.append(len(images))
        return run.model(images)

    found = dict(zip(names(run.counts, split.labels), evaluate(predict, split, run).tolist(), strict=True))
    assert sizes == [CHUNK, CHUNK, 7]
    with torch.no_grad():
        guess = run.model((split.images / 255 - 0.4) / 0.2).argmax(1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(split.labels, guess), abs=1e-6)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(split.labels, guess), abs=1e-6)


def test_evaluation_keeps_no_graph():
    run = make_run()
    split = Split(torch.zeros(3, 2, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 2]))
    seen = []

    def predict(images):
        seen.append(run.model(images))
        return seen[-1]

    assert not evaluate(predict, split, run).requires_grad and not seen[0].requires_grad
    assert isinstance(run.model, nn.Module) and np.isfinite(seen[0].numpy()).all()


def test_what_was_learned_is_judged_on_images_as_they_are():
    """Mixed and cropped while training; judged by hand on the same images untouched, at the end alone."""
    from autotricks.core.bundle import Bundle
    from autotricks.trial import prepare
    from autotricks.tricks.catalog import make

    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0] * 30 + [1] * 10)
    split = Split(images, labels)
    dataset = Dataset(split, split, None, ("a", "b"), (0.5,), (0.25,), "made", "made")
    bundle = Bundle((make("mixup", {"alpha": 1.0}), make("crop", {"padding": 2})), "resnet8", epochs=3, batch_size=10)
    trainer = prepare(bundle, dataset)
    history = list(trainer.epochs())
    assert ["train/accuracy" in metrics.values for metrics in history] == [False, False, True]
    with torch.no_grad():
        right = trainer.evaluated.eval()(((images / 255) - 0.5) / 0.25).argmax(1) == labels
    assert history[-1].values["train/accuracy"] == pytest.approx(float(right.float().mean()))
    recall = (float(right[:30].float().mean()) + float(right[30:].float().mean())) / 2
    assert history[-1].values["train/balanced_accuracy"] == pytest.approx(recall)

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import nn

from autotricks.core.dataset import Dataset, Split
from autotricks.core.images import CHUNK, chunk
from autotricks.tasks.classification import CLASSIFICATION
from autotricks.trainer.evaluate import evaluate
from tests.conftest import make_run


def test_images_are_normalized_channel_by_channel():
    run = replace(make_run(), mean=torch.tensor([0.5, 0.2]).view(-1, 1, 1), std=torch.tensor([0.5, 0.1]).view(-1, 1, 1))
    images = torch.tensor([255, 51], dtype=torch.uint8).view(1, 2, 1, 1)
    assert run.normalize(images).flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


@pytest.mark.parametrize(("shape", "count"), [
    ((1000, 3, 32, 32), CHUNK), ((3, 224, 224), CHUNK), ((3, 448, 448), CHUNK // 4), ((3, 448, 224), CHUNK // 2),
    ((3, 20_000, 20_000), 1), ((1000, 512), CHUNK), ((1000, 512, 7, 7), CHUNK)])
def test_large_images_come_fewer_at_a_time(shape, count):
    """So that a forward pass takes no more memory than one of 256 images of 224 x 224 pixels."""
    assert chunk(shape) == count


def test_a_split_larger_than_a_chunk_is_evaluated_whole():
    run, count = make_run(), 2 * CHUNK + 7
    generator = torch.Generator().manual_seed(0)
    split = Split.plain(torch.randint(0, 256, (count, 2, 4, 4), generator=generator, dtype=torch.uint8),
                        torch.randint(0, 3, (count,), generator=generator))
    sizes = []

    def predict(images):
        sizes.append(len(images))
        return run.model(run.normalize(images))

    found = evaluate(predict, split, run, "val")
    assert sizes == [CHUNK, CHUNK, 7]
    with torch.no_grad():
        guess = run.model((split.images / 255 - 0.4) / 0.2).argmax(1)
    assert found["val/accuracy"] == pytest.approx(metrics.accuracy_score(split.targets.single, guess), abs=1e-6)
    balanced = metrics.balanced_accuracy_score(split.targets.single, guess)
    assert found["val/balanced_accuracy"] == pytest.approx(balanced, abs=1e-6)


def test_evaluation_keeps_no_graph():
    run = make_run()
    split = Split.plain(torch.zeros(3, 2, 4, 4, dtype=torch.uint8), torch.tensor([0, 1, 2]))
    seen = []

    def predict(images):
        seen.append(run.model(run.normalize(images)))
        return seen[-1]

    evaluate(predict, split, run, "val")
    assert not seen[0].requires_grad
    assert isinstance(run.model, nn.Module) and np.isfinite(seen[0].numpy()).all()


def test_what_was_learned_is_judged_on_images_as_they_are():
    """Mixed and cropped while training; judged by hand on the same images untouched, at the end alone."""
    from autotricks.core.bundle import Bundle
    from autotricks.trial import prepare
    from autotricks.tricks.catalog import make

    images = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0] * 30 + [1] * 10)
    split = Split.plain(images, labels)
    dataset = Dataset(split, split, None, ("a", "b"), (0.5,), (0.25,), "made", "made", CLASSIFICATION)
    bundle = Bundle((make("mixup", {"alpha": 1.0}), make("crop", {"padding": 2})), "resnet8", epochs=3, batch_size=10)
    trainer = prepare(bundle, dataset)
    history = list(trainer.epochs())
    assert ["train/accuracy" in metrics.values for metrics in history] == [False, False, True]
    with torch.no_grad():
        right = trainer.evaluated.eval()(((images / 255) - 0.5) / 0.25).argmax(1) == labels
    assert history[-1].values["train/accuracy"] == pytest.approx(float(right.float().mean()))
    recall = (float(right[:30].float().mean()) + float(right[30:].float().mean())) / 2
    assert history[-1].values["train/balanced_accuracy"] == pytest.approx(recall)

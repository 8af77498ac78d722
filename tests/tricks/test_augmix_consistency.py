import math

import pytest
import torch
from scipy import stats
from scipy.spatial.distance import jensenshannon

from autotricks.core.batch import Batch
from autotricks.core.plan import problems
from autotricks.core.run import Runtime
from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.tricks.batch.augmix_consistency import AugmixConsistency, divergence
from autotricks.tricks.catalog import catalog, make
from tests.conftest import make_batch, make_run

SHAPE = (2, 8, 8)


def same(batch):
    return batch


def cross_entropy(run):
    return catalog()["cross_entropy"]().loss(None, run)


def tripled(labels=(0, 1, 2, 0, 1), seed=0, **values):
    run, batch = make_run(image_shape=SHAPE, seed=seed), make_batch(labels, image_shape=SHAPE)
    return run, batch, AugmixConsistency(**values).batch(same, run)(batch)


def test_the_divergence_is_the_entropy_of_the_mean_less_the_mean_entropy():
    p = torch.rand(7, 3, 5, generator=torch.Generator().manual_seed(0)).pow(3).double()
    p = p / p.sum(2, keepdim=True)
    expected = stats.entropy(p.mean(1).T) - stats.entropy(p.movedim(2, 0)).mean(1)
    assert torch.allclose(divergence(p.log() + 3), torch.from_numpy(expected))
    two = divergence(p[:, :2].log())
    assert two.tolist() == pytest.approx([jensenshannon(*pair[:2]) ** 2 for pair in p.numpy()])


def test_the_divergence_by_hand():
    """Views (1/2, 1/2), (1/2, 1/2), (1/4, 3/4); their mean is (5/12, 7/12)."""
    logits = torch.tensor([[[1.0, 1.0], [0.0, 0.0], [0.0, math.log(3)]]])
    even = 0.5 * math.log(0.5 * 12 / 5) + 0.5 * math.log(0.5 * 12 / 7)
    other = 0.25 * math.log(0.25 * 12 / 5) + 0.75 * math.log(0.75 * 12 / 7)
    assert divergence(logits).item() == pytest.approx((2 * even + other) / 3, rel=1e-5)


def test_the_divergence_lies_between_agreement_and_three_certainties():
    alike = torch.randn(4, 1, 6).expand(4, 3, 6)
    assert torch.allclose(divergence(alike), torch.zeros(4), atol=1e-6)
    certain = 1e4 * torch.eye(3).unsqueeze(0)
    assert divergence(certain).item() == pytest.approx(math.log(3)) and bool(divergence(certain).isfinite())


def test_three_rows_in_succession_show_one_image():
    run, batch, views = tripled()
    assert len(views) == 15 and torch.equal(views.images[::3], batch.images)
    assert views.targets.labels.flatten().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1]
    assert views.rows.tolist() == [row for row in range(5) for _ in range(3)]
    assert bool((views.targets.shares == 1).all())
    low, high = (0 - run.mean) / run.std, (1 - run.mean) / run.std
    for number in (1, 2):
        view = views.images[number::3]
        assert bool((view >= low - 1e-5).all()) and bool((view <= high + 1e-5).all())
        assert not torch.equal(view, batch.images)
    assert not torch.equal(views.images[1::3], views.images[2::3])


def test_the_loss_is_that_of_the_images_plus_the_weighted_divergence():
    run, batch, views = tripled(weight=5.0)
    logits = torch.randn(15, 3, generator=torch.Generator().manual_seed(1))
    losses = AugmixConsistency(weight=5.0).loss(cross_entropy(run), run)(logits, views)
    expected = torch.nn.functional.cross_entropy(logits[::3], batch.targets.labels.flatten())
    spread = stats.entropy(logits.softmax(1).view(5, 3, 3).mean(1).T.numpy()) - stats.entropy(
        logits.softmax(1).T.numpy()).reshape(5, 3).mean(1)
    assert float(losses.mean()) == pytest.approx(float(expected) + 5 * spread.mean(), rel=1e-5)


def test_what_is_inside_sees_the_images_alone():
    run, batch, views = tripled()
    seen = []
    AugmixConsistency().loss(lambda logits, batch: seen.append(batch) or logits[:, 0], run)(
        torch.zeros(15, 3), Batch(views.images, views.targets, views.rows,
                                  features=torch.arange(15.0).unsqueeze(1)))
    inner = seen[0]
    assert torch.equal(inner.images, batch.images) and torch.equal(inner.rows, batch.rows)
    assert torch.equal(inner.targets.labels, batch.targets.labels)
    assert inner.features.flatten().tolist() == [0, 3, 6, 9, 12]
    assert len(inner.whole) == 15


@pytest.mark.parametrize("inside", ["class_weights", "label_smoothing"])
@pytest.mark.parametrize("pieces", [2, 3, 4, 5, 15, 100])
def test_micro_batches_change_nothing(pieces, inside):
    """Nor does a weight normalized over the batch: no piece parts the views of an image."""
    def gradient(pieces):
        run, _, views = tripled()
        torch.manual_seed(2)
        run.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3)).double()
        run.runtime = Runtime(micro_batches=pieces)
        views = type(views)(views.images.double(), views.targets.weighted(torch.ones(1).double()), views.rows)
        loss = AugmixConsistency().loss(make(inside, {}).trick.loss(cross_entropy(run), run), run)
        value = backward(loss, run)(views)
        return [value.detach(), *(weight.grad for weight in run.model.parameters())]
    for whole, cut in zip(gradient(1), gradient(pieces), strict=True):
        assert torch.allclose(whole, cut, rtol=1e-9, atol=1e-12)


def test_pieces_hold_whole_images():
    _, _, views = tripled()
    pieces = views.split(2)
    assert [len(piece) for piece in pieces] == [9, 6] and all(piece.whole is views for piece in pieces)
    assert torch.equal(torch.cat([piece.images for piece in pieces]), views.images)
    assert [len(piece) for piece in views.split(50)] == [3] * 5


def test_keeps_the_memory_layout():
    run, batch = make_run(image_shape=SHAPE), make_batch((0, 1), image_shape=SHAPE)
    run.runtime = Runtime(channels_last=True)
    assert AugmixConsistency().batch(same, run)(batch).images.is_contiguous(memory_format=torch.channels_last)


def test_keeps_out_other_policies_and_mixing():
    mine = make("augmix_consistency", {})
    for other in ("augmix", "rand_augment", "mixup", "cutmix", "manifold_mixup"):
        assert any("both take" in line for line in problems([mine, make(other, {})])), other


def test_refuses_a_negative_weight():
    with pytest.raises(BundleError, match=r"augmix_consistency\.weight: -1 is not allowed; weight must be >= 0 "):
        AugmixConsistency(weight=-1)

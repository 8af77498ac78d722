import numpy
import pytest
import torch
from scipy import stats
from timm.data import mixup as timm_mixup

from autotricks.core.batch import Batch
from autotricks.errors import BundleError
from autotricks.tricks.batch.mixup_cutmix import MixupCutmix, blended, box
from tests.conftest import make_batch, make_run

HEIGHT, WIDTH = 12, 16


def same(batch):
    return batch


def dense(batch, classes):
    """The share of each class, [B, C]."""
    targets = batch.targets
    return torch.zeros(len(batch), classes).scatter_add_(1, targets.labels, targets.shares)


def reverse(batch):
    return torch.arange(len(batch)).flip(0)


class Told(timm_mixup.Mixup):
    """timm's own mixing, with the lambda and the choice that it is told."""

    def __init__(self, keep, pastes):
        super().__init__(0.8, 1.0, label_smoothing=0.0, num_classes=4)
        self._told = keep, pastes

    def _params_per_batch(self):
        return self._told


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.75, 0.999])
def test_blends_as_timm_does(keep):
    batch = make_batch([0, 1, 2, 3, 1, 0], image_shape=(3, HEIGHT, WIDTH))
    images, targets = Told(keep, False)(batch.images.clone(), batch.targets.single)
    found = blended(batch, reverse(batch), torch.full((HEIGHT, WIDTH), 1 - keep))
    assert torch.allclose(found.images, images, atol=1e-6)
    assert torch.allclose(dense(found, 4), targets, atol=1e-6)


@pytest.mark.parametrize("side", [1.0, 0.88, 0.52, 0.18, 0.03])     # even in pixels: older timm has no others
def test_pastes_as_timm_does(side, monkeypatch):
    keep = 1 - side ** 2
    batch = make_batch([0, 1, 2, 3, 1, 0], image_shape=(3, HEIGHT, WIDTH))
    for row, column in [(0, 0), (5, 9), (HEIGHT - 1, WIDTH - 1), (3, WIDTH - 2)]:
        places = iter([row, column])
        monkeypatch.setattr(numpy.random, "randint", lambda low, high, size, places=places: next(places))
        images, targets = Told(keep, True)(batch.images.clone(), batch.targets.single)
        inside = box(torch.tensor([keep]), torch.tensor([row]), torch.tensor([column]), HEIGHT, WIDTH)
        found = blended(batch, reverse(batch), inside.float())
        assert torch.equal(found.images, images)
        assert torch.allclose(dense(found, 4), targets, atol=1e-6)


def test_a_box_by_hand():
    """Sides of 0.6 of 5 and of 8 pixels: 3 rows and 4 columns, the middle row and the third column being the middle."""
    inside = box(torch.tensor([0.64 - 1e-6]), torch.tensor([0]), torch.tensor([4]), 5, 8)
    assert inside.any(1).tolist() == [True, True, False, False, False]      # a row lies above the image
    assert inside.any(0).tolist() == [False, False, True, True, True, True, False, False]
    assert int(inside.sum()) == 8


def kept(trick, count, side=16):
    """The share of each of `count` batches that stays, and which of them were pasted into."""
    mix = trick.batch(same, make_run(image_shape=(1, side, side), seed=3))
    places = torch.arange(1, 5)
    images = (2.0 ** places).view(-1, 1, 1, 1).expand(4, 1, side, side).contiguous()
    plain = Batch.plain(images, places, places)
    shares, pasted = [], []
    for _ in range(count):
        batch = mix(plain)
        shares.append(float(batch.targets.shares[0, 0]))
        pasted.append(bool((batch.images.log2() % 1 == 0).all()))
    return numpy.array(shares), numpy.array(pasted)


def test_lambda_is_distributed_as_that_of_timm():
    ours, _ = kept(MixupCutmix(), 2000, side=64)
    numpy.random.seed(0)
    theirs, images = timm_mixup.Mixup(0.8, 1.0, label_smoothing=0.0, num_classes=4), torch.zeros(2, 1, 64, 64)
    lambdas = [float(theirs(images.clone(), torch.tensor([0, 1]))[1][0, 0]) for _ in range(2000)]
    assert stats.ks_2samp(ours, lambdas).pvalue > 1e-3
    assert ours.mean() == pytest.approx(numpy.mean(lambdas), abs=0.04)


def test_mixup_alone_has_the_lambda_of_its_beta():
    shares, pasted = kept(MixupCutmix(mixup_alpha=0.3, switch=0.0), 1000)
    assert stats.kstest(shares, stats.beta(0.3, 0.3).cdf).pvalue > 1e-3
    assert pasted.mean() < 0.1      # where the share is so near an end that one image alone is left, or its partner it


def test_cutmix_alone_pastes_always():
    _, pasted = kept(MixupCutmix(switch=1.0), 500)
    assert pasted.all()


@pytest.mark.parametrize("switch", [0.25, 0.5])
def test_the_switch_is_the_chance_of_pasting(switch):
    _, pasted = kept(MixupCutmix(mixup_alpha=50.0, switch=switch), 2000)
    # A permutation of four leaves all in place once in 24, and then no mixing can be seen.
    expected = switch + (1 - switch) / 24
    assert stats.binomtest(int(pasted.sum()), 2000, expected).pvalue > 1e-3


def test_the_rest_of_the_batch_stays_and_shares_sum_to_one(run):
    batch = make_batch([0, 1, 2, 1])
    for _ in range(20):
        mixed = MixupCutmix().batch(same, run)(batch)
        assert torch.allclose(mixed.targets.shares.sum(1), torch.ones(4)) and mixed.rows is batch.rows


def test_refuses_a_switch_above_one():
    with pytest.raises(BundleError, match=r"mixup_cutmix\.switch: 1\.5 is not allowed; .* >= 0 and <= 1"):
        MixupCutmix(switch=1.5)

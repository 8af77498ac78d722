import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.batch.remix import Remix, label_weight, remix
from tests.conftest import make_run


def numbered(labels) -> Batch:
    """A batch in which the pixels of an image are its place."""
    places = torch.arange(len(labels))
    images = places.float().view(-1, 1, 1, 1).expand(-1, 2, 4, 4).contiguous()
    return Batch.plain(images, torch.tensor(labels), places)


def same(batch: Batch) -> Batch:
    return batch


@pytest.mark.parametrize(("own", "other", "keep", "expected"), [
    (90, 30, 0.4, 0.0),      # three times as large, little of the image: nothing of the label
    (90, 30, 0.5, 0.5),      # keep is not below tau
    (90, 30, 0.6, 0.6),
    (90, 31, 0.4, 0.4),      # not quite three times as large
    (30, 90, 0.6, 1.0),      # the other way round
    (30, 90, 0.5, 0.5),
    (30, 90, 0.4, 0.4),
    (31, 90, 0.6, 0.6),
    (50, 50, 0.1, 0.1),
    (50, 50, 0.9, 0.9)])
def test_the_case_table(own, other, keep, expected):
    share = label_weight(torch.tensor([float(own)]), torch.tensor([float(other)]), torch.tensor([keep]), 3.0, 0.5)
    assert share.tolist() == pytest.approx([expected])


def test_kappa_and_tau_are_read():
    own, other, keep = torch.tensor([80., 20.]), torch.tensor([20., 80.]), torch.tensor([0.7])
    assert label_weight(own, other, keep, 4.0, 0.8).tolist() == pytest.approx([0.0, 1.0])
    assert label_weight(own, other, keep, 4.5, 0.8).tolist() == pytest.approx([0.7, 0.7])
    assert label_weight(own, other, keep, 4.0, 0.25).tolist() == pytest.approx([0.7, 0.7])
    assert label_weight(own, other, keep, 4.0, 0.35).tolist() == pytest.approx([0.7, 1.0])


def test_mixes_images_by_one_share_and_labels_by_another():
    mixed = remix(numbered([0, 1, 2]), torch.tensor([1, 2, 0]), torch.tensor([0.75]), torch.tensor([0.0, 1.0, 0.75]))
    assert mixed.images[:, 1, 3, 3].tolist() == [0.25, 1.25, 1.5]
    assert mixed.targets.labels.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert mixed.targets.shares.tolist() == [[0, 1], [1, 0], [0.75, 0.25]]


def test_shares_go_with_their_labels():
    plain = numbered([0, 1])
    targets = Targets(torch.tensor([[0, 2], [1, 3]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    pair = Batch(plain.images, targets, plain.rows)
    mixed = remix(pair, torch.tensor([1, 0]), torch.tensor([0.75]), torch.tensor([1.0, 0.25]))
    assert mixed.targets.labels.tolist() == [[0, 2, 1, 3], [1, 3, 0, 2]]
    assert mixed.targets.shares.tolist() == [[0.75, 0.25, 0, 0], [0.125, 0.125, 0.5625, 0.1875]]


def test_rarer_classes_win_in_a_batch():
    run, labels = make_run(counts=(60, 20, 15)), [0, 1, 2, 0, 1, 2, 0, 1]  # ratios 3, 4 and 4/3
    mix, won = Remix(kappa=3.0, tau=0.5).batch(same, run), 0
    for _ in range(60):
        mixed = mix(numbered(labels))
        for place, (own, other) in enumerate(mixed.targets.labels.tolist()):
            image = float(mixed.images[place, 0, 0, 0])
            partners = [each for each, label in enumerate(labels) if label == other and each != place]
            share = float(mixed.targets.shares[place, 0])
            if own == 0 and other != 0:
                won += share == 0
                assert share == 0 or share >= 0.5
            elif own != 0 and other == 0:
                assert share == 1 or share <= 0.5
            else:
                assert own == other or any(
                    image == pytest.approx(share * place + (1 - share) * each, abs=1e-4) for each in partners)
    assert won > 30


def test_without_tau_it_is_mixup():
    run = make_run(counts=tuple(2**power for power in range(8)))
    mixed = Remix(tau=0.0).batch(same, run)(numbered(list(range(8))))
    assert len(mixed.targets.shares.unique(dim=0)) == 1
    assert torch.allclose(mixed.images[:, 0, 0, 0], (mixed.targets.labels * mixed.targets.shares).sum(1), atol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_images_have_the_variance_of_beta(alpha):
    mix, batch = Remix(alpha=alpha).batch(same, make_run(counts=(9, 1), seed=4)), numbered([0, 1])
    drawn = [mix(batch) for _ in range(8000)]
    shares = torch.stack([mixed.images[1, 0, 0, 0] for mixed in drawn if mixed.targets.labels[1, 1] == 0])
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_refuses_kappa_below_one():
    with pytest.raises(BundleError, match=r"remix\.kappa: 0\.5 is not allowed; kappa must be >= 1 \(ratio of class si"):
        Remix(kappa=0.5)

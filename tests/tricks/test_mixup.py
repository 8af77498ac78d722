import math
from dataclasses import replace

import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.dense import grid
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.batch.mixup import Mixup, mixup
from autotricks.tricks.loss.center_sampling import CenterSampling
from autotricks.tricks.loss.dense_focal import DenseFocal
from tests.conftest import make_run


def numbered(count=8) -> Batch:
    """A batch in which image, label and row of each sample are its place."""
    places = torch.arange(count)
    return Batch.plain(places.float().view(-1, 1, 1, 1).expand(count, 2, 4, 4).contiguous(), places, places)


def same(batch: Batch) -> Batch:
    return batch


def test_mixes_images_and_targets_by_hand():
    mixed = mixup(numbered(3), torch.tensor([1, 2, 0]), torch.tensor([0.75]))
    assert mixed.images[:, 1, 3, 3].tolist() == [0.25, 1.25, 1.5]
    assert mixed.targets.labels.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert mixed.targets.shares.tolist() == [[0.75, 0.25]] * 3
    assert mixed.rows.tolist() == [0, 1, 2]


def test_what_is_mixed_again_has_four_labels():
    once = mixup(numbered(2), torch.tensor([1, 0]), torch.tensor([0.75]))
    twice = mixup(once, torch.tensor([1, 0]), torch.tensor([0.5]))
    assert twice.targets.labels.tolist() == [[0, 1, 1, 0], [1, 0, 0, 1]]
    assert twice.targets.shares[0].tolist() == [0.375, 0.125, 0.375, 0.125]


def test_shares_go_with_their_labels():
    plain = numbered(2)
    targets = Targets(torch.tensor([[0, 2], [1, 3]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    pair = Batch(plain.images, targets, plain.rows)
    mixed = mixup(pair, torch.tensor([1, 0]), torch.tensor([0.75]))
    assert mixed.targets.labels.tolist() == [[0, 2, 1, 3], [1, 3, 0, 2]]
    assert mixed.targets.shares.tolist() == [[0.5625, 0.1875, 0.125, 0.125], [0.375, 0.375, 0.1875, 0.0625]]


def test_draws_one_share_for_the_batch_and_a_permutation_of_it(run):
    mix, seen, partners = Mixup(alpha=1.0).batch(same, run), [], []
    for _ in range(20):
        mixed = mix(numbered())
        assert len(mixed.targets.shares.unique(dim=0)) == 1
        assert torch.allclose(mixed.targets.shares.sum(1), torch.ones(8))
        assert mixed.targets.labels[:, 1].sort().values.tolist() == list(range(8))
        assert torch.allclose(mixed.images[:, 0, 0, 0], (mixed.targets.labels * mixed.targets.shares).sum(1), atol=1e-5)
        seen.append(float(mixed.targets.shares[0, 0]))
        partners.append(tuple(mixed.targets.labels[:, 1].tolist()))
    assert len(set(seen)) == 20 and len(set(partners)) == 20


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_shares_have_the_variance_of_beta(alpha):
    mix, batch = Mixup(alpha=alpha).batch(same, make_run(seed=4)), numbered(2)
    shares = torch.stack([mix(batch).targets.shares[0, 0] for _ in range(4000)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=4 * float(shares.std()) / 4000**0.5)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_wraps_what_is_inside(run):
    def doubled(batch):
        return replace(batch, images=batch.images * 2)
    mixed = Mixup().batch(doubled, run)(numbered())
    assert torch.allclose(mixed.images[:, 0, 0, 0], 2 * (mixed.targets.labels * mixed.targets.shares).sum(1), atol=1e-5)


def test_refuses_alpha_of_zero():
    with pytest.raises(BundleError, match=r"mixup\.alpha: 0 is not allowed; alpha must be > 0 \(Beta concentration\)"):
        Mixup(alpha=0)


def test_objects_of_both_images_are_found_by_their_shares():
    """Each image of 32 x 32 has an object of 16 x 16 in another corner, which four places of stride 8 are to find.

    Where every logit is 0, focal loss is a quarter of log 2 for each place and class, times .75 or, for an object, .25;
    centerness costs log 2 at each place of an object. Objects count by their shares, 4 of 16 places in all.
    """
    boxes = torch.tensor([[[0.0, 0, 16, 16]], [[16.0, 16, 32, 32]]])
    batch = Batch(torch.zeros(2, 1, 32, 32), Targets(torch.tensor([[0], [1]]), torch.ones(2, 1), boxes),
                  torch.arange(2))
    places = grid(4, 4, 8, torch.zeros(1))
    output = torch.cat([torch.zeros(16, 3), torch.zeros(16, 4), places], 1).expand(2, -1, -1)
    run = make_run(counts=(1, 1))
    loss = CenterSampling(radius=1.5).loss(DenseFocal(gamma=2.0, alpha=0.25).loss(None, run), run)
    log2 = math.log(2)
    plain = (28 * 0.75 + 4 * 0.25) * log2 / 4 + 4 * log2
    assert loss(output, batch).tolist() == pytest.approx([plain / 4] * 2)
    mixed = mixup(batch, torch.tensor([1, 0]), torch.tensor([0.8]))
    both = (24 * 0.75 + 4 * (0.8 + 0.2) * 0.25) * log2 / 4 + 4 * log2
    assert loss(output, mixed).tolist() == pytest.approx([both / 4] * 2)

import pytest
import torch
from scipy import stats

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.tricks.batch.ricap import Ricap, ricap
from tests.conftest import make_run


def located(count=5, height=6, width=9) -> Batch:
    """A batch whose three channels tell the image, the row and the column of each pixel."""
    places = torch.arange(count)
    axes = torch.meshgrid(places, torch.arange(height), torch.arange(width), indexing="ij")
    return Batch.plain(torch.stack(axes, 1).float(), places, places)


def same(batch: Batch) -> Batch:
    return batch


def spelled(batch, partners, cuts, corners):
    """The four crops cut out and put together one by one, as the paper draws them."""
    height, width = batch.images.shape[-2:]
    above, left = (int(cut) for cut in cuts)
    crops = []
    for patch, (tall, wide) in enumerate([(above, left), (above, width - left), (height - above, left),
                                          (height - above, width - left)]):
        top, edge = corners[:, patch].tolist()
        crops.append(batch.images[partners[patch], :, top:top + tall, edge:edge + wide])
        assert crops[-1].shape[-2:] == (tall, wide)
    return torch.cat([torch.cat(crops[:2], 3), torch.cat(crops[2:], 3)], 2)


@pytest.mark.parametrize(("above", "left", "corners"), [
    (2, 4, [[4, 0, 1, 2], [5, 3, 0, 4]]),
    (6, 9, [[0, 0, 2, 6], [0, 5, 0, 8]]),    # all of the image is the first crop
    (0, 0, [[0, 1, 0, 0], [0, 0, 7, 0]]),    # all of it is the last
    (0, 3, [[1, 6, 0, 0], [2, 2, 6, 3]]),    # two crops side by side
    (6, 0, [[0, 0, 5, 5], [8, 0, 1, 0]])])
def test_patches_as_drawn_by_hand(above, left, corners):
    batch, cuts, corners = located(), (torch.tensor([above]), torch.tensor([left])), torch.tensor(corners)
    partners = torch.tensor([[1, 2, 3, 4, 0], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 1, 4, 3]])
    patched = ricap(batch, partners, cuts, corners)
    assert torch.equal(patched.images, spelled(batch, partners, cuts, corners))
    assert torch.equal(patched.targets.labels, partners.T)
    areas = [above * left, above * (9 - left), (6 - above) * left, (6 - above) * (9 - left)]
    assert patched.targets.shares.tolist() == [pytest.approx([area / 54 for area in areas])] * 5


def test_shares_go_with_their_labels():
    plain = located(2, 2, 2)
    targets = Targets(torch.tensor([[0, 2], [1, 3]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    pair = Batch(plain.images, targets, plain.rows)
    partners = torch.tensor([[0, 1], [1, 0], [0, 1], [1, 0]])
    patched = ricap(pair, partners, (torch.tensor([1]), torch.tensor([1])), torch.zeros(2, 4, dtype=torch.int64))
    assert patched.targets.labels.tolist() == [[0, 2, 1, 3, 0, 2, 1, 3], [1, 3, 0, 2, 1, 3, 0, 2]]
    assert patched.targets.shares[0].tolist() == [.1875, .0625, .125, .125, .1875, .0625, .125, .125]


def test_keeps_the_memory_layout():
    batch = located(4, 4, 4)
    partners, cuts = torch.arange(4).repeat(4, 1), (torch.tensor([2]), torch.tensor([1]))
    corners = torch.zeros(2, 4, dtype=torch.int64)
    last = batch.painted(batch.images.contiguous(memory_format=torch.channels_last))
    assert ricap(batch, partners, cuts, corners).images.is_contiguous()
    assert ricap(last, partners, cuts, corners).images.is_contiguous(memory_format=torch.channels_last)


def test_drawn_patches_are_rectangles_of_the_shared_area(run):
    mix, boundaries = Ricap(beta=1.0).batch(same, run), set()
    for _ in range(100):
        patched = mix(located())
        assert patched.targets.labels.shape == (5, 4) and float((patched.targets.shares.sum(1) - 1).abs().max()) < 1e-6
        for column in range(4):
            assert patched.targets.labels[:, column].sort().values.tolist() == list(range(5))
        for place, (image, row, column) in enumerate(patched.images):
            for label in range(5):
                area = float(patched.targets.shares[place][patched.targets.labels[place] == label].sum())
                assert float((image == label).float().mean()) == pytest.approx(area, abs=1e-6)
            # inside a patch, rows and columns go on by one; at most one boundary breaks each
            assert int((row.diff(dim=0) != 1).any(1).sum()) <= 1 and int((column.diff(dim=1) != 1).any(0).sum()) <= 1
        boundaries.add(tuple(patched.targets.shares[0].tolist()))
    assert len(boundaries) > 30


def test_the_boundary_follows_beta_and_crops_lie_anywhere():
    mix, batch, draws = Ricap(beta=0.3).batch(same, make_run(seed=2)), located(1, 100, 100), 1500
    patched = [mix(batch) for _ in range(draws)]
    areas = torch.stack([one.targets.shares[0] for one in patched])
    heights = (areas[:, 0] + areas[:, 1]).double()
    # with 100 pixels, rounding moves the boundary by at most 1/200
    law, error = stats.beta(0.3, 0.3), 4 * 0.5 / draws**0.5
    for place in (0.1, 0.25, 0.5, 0.9):
        found = float((heights < place).double().mean())
        assert law.cdf(place - .005) - error < found < law.cdf(place + .005) + error
    # of crops of the upper left patch with room to move, the corner is uniform
    ratios = [(float(one.images[0, 1, 0, 0]) + .5) / (101 - round(100 * float(height)))
              for one, height in zip(patched, heights, strict=True) if 0.2 < height < 0.8]
    assert len(ratios) > 250 and stats.kstest(ratios, "uniform").pvalue > 1e-3


def test_refuses_a_concentration_of_zero():
    with pytest.raises(BundleError, match=r"ricap\.beta: 0 is not allowed; beta must be > 0 \(Beta concentration\)"):
        Ricap(beta=0)

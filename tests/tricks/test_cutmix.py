import pytest
import torch

from autotricks.core.batch import Batch
from autotricks.core.targets import Targets
from autotricks.errors import BundleError
from autotricks.functional.sampling import spans
from autotricks.tricks.batch.cutmix import Cutmix, cutmix
from tests.conftest import make_run


def numbered(count=6, height=8, width=8) -> Batch:
    places = torch.arange(count)
    images = places.float().view(-1, 1, 1, 1).expand(count, 2, height, width).contiguous()
    return Batch.plain(images, places, places)


def same(batch: Batch) -> Batch:
    return batch


def test_pastes_and_shares_by_area():
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[:2, 1:] = True  # 6 of 16 pixels
    mixed = cutmix(numbered(2, 4, 4), torch.tensor([1, 0]), inside)
    assert mixed.images[0, 0].tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert mixed.targets.labels.tolist() == [[0, 1], [1, 0]]
    assert mixed.targets.shares.tolist() == [[10 / 16, 6 / 16]] * 2


def test_shares_go_with_their_labels():
    plain, inside = numbered(2, 2, 2), torch.tensor([[True, False], [False, False]])
    targets = Targets(torch.tensor([[0, 2], [1, 3]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    pair = Batch(plain.images, targets, plain.rows)
    mixed = cutmix(pair, torch.tensor([1, 0]), inside)
    assert mixed.targets.labels.tolist() == [[0, 2, 1, 3], [1, 3, 0, 2]]
    assert mixed.targets.shares.tolist() == [[0.5625, 0.1875, 0.125, 0.125], [0.375, 0.375, 0.1875, 0.0625]]


def test_shares_are_the_areas_and_the_box_is_a_rectangle(run):
    mix, drawn = Cutmix().batch(same, run), set()
    for _ in range(50):
        mixed = mix(numbered(6, 8, 12))
        assert mixed.targets.labels[:, 1].sort().values.tolist() == list(range(6))
        for place in range(6):
            own, other = mixed.targets.labels[place].tolist()
            foreign = mixed.images[place, 0] != own
            if own == other:
                continue
            assert float(mixed.targets.shares[place, 1]) == pytest.approx(float(foreign.float().mean()), abs=1e-6)
            rows, columns = foreign.any(1), foreign.any(0)
            assert torch.equal(foreign, rows.unsqueeze(1) & columns)
            assert set(mixed.images[place].unique().tolist()) <= {own, other}
            drawn.add((tuple(rows.tolist()), tuple(columns.tolist())))
    assert len(drawn) > 30


def test_the_box_has_its_area_before_clipping():
    """With lambda uniform the box covers 1 - lambda; clipped at a random center its mean is known exactly."""
    size, grid, draws = 8, 4000, 6000
    ratios = (torch.arange(grid) + .5) / grid
    of_side = torch.zeros(size + 1)
    for side in range(size + 1):
        lengths = [sum(0 <= center - side // 2 + step < size for step in range(side)) for center in range(size)]
        of_side[side] = (sum(lengths) / size**2) ** 2  # rows and columns are independent
    covered = of_side[torch.round(ratios.sqrt() * size).long()]
    mix, batch = Cutmix(alpha=1.0).batch(same, make_run(seed=2)), numbered(2, size, size)
    pasted = torch.stack([mix(batch).targets.shares[0, 1] for _ in range(draws)])
    assert float(pasted.mean()) == pytest.approx(float(covered.mean()), abs=4 * float(pasted.std()) / draws**0.5)


def test_probability_leaves_batches_whole():
    mix = Cutmix(probability=0.0).batch(same, make_run())
    assert all(mix(numbered()).targets.shares.tolist() == [[1.0, 0.0]] * 6 for _ in range(20))
    half = Cutmix(alpha=1.0, probability=0.5).batch(same, make_run(seed=1))
    untouched = sum(float(half(numbered()).targets.shares[0, 1]) == 0 for _ in range(2000)) / 2000
    # Besides the half that is left alone, boxes with a side below half a pixel round to nothing: 1 - lambda < 1/256.
    assert untouched == pytest.approx(0.5 + 0.5 / 256, abs=4 * 0.5 / 2000**0.5)


def test_draws_without_the_box_leaving_the_image():
    assert spans(torch.tensor([7]), torch.tensor([8]), 8).sum() == 5
    assert spans(torch.tensor([4]), torch.tensor([8]), 8).all()


def test_refuses_a_probability_above_one():
    with pytest.raises(BundleError, match=r"cutmix\.probability: 1\.5 is not allowed; .* >= 0 and <= 1"):
        Cutmix(probability=1.5)

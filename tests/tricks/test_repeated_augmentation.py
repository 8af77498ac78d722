import pytest
import torch
from scipy import stats
from timm.data.distributed_sampler import RepeatAugSampler

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.augment.crop import Crop
from autotricks.tricks.sampler.repeated_augmentation import RepeatedAugmentation, repeated
from tests.conftest import make_dataset, make_run


def batches(counts=(40, 20, 12), size=12, times=3, seed=0):
    """The batches of an epoch, [S, size]."""
    run = make_run(counts=counts, batch_size=size, seed=seed)
    return RepeatedAugmentation(times).sampler(None, run)(0.0).view(-1, size)


def test_copies_by_hand():
    rows = torch.tensor([[7, 8], [5, 6]])
    assert repeated(rows, 4, 2).tolist() == [[7, 8, 7, 8], [5, 6, 5, 6]]
    assert repeated(rows, 5, 3).tolist() == [[7, 8, 7, 8, 7], [5, 6, 5, 6, 5]]


@pytest.mark.parametrize(("ranks", "part", "times"), [(1, 12, 3), (2, 6, 3), (4, 3, 3), (3, 8, 2), (2, 4, 4)])
def test_batches_hold_what_those_of_timm_hold(ranks, part, times):
    """From one permutation: the batches that timm's ranks make together, but for the order inside them."""
    count, size = 96, ranks * part
    samplers = [RepeatAugSampler(range(count), ranks, rank, num_repeats=times) for rank in range(ranks)]
    theirs = torch.tensor([list(sampler) for sampler in samplers]).view(ranks, -1, part).transpose(0, 1).flatten(1)
    drawn = torch.randperm(count, generator=torch.Generator().manual_seed(0))    # as timm draws in epoch 0
    ours = repeated(drawn[:count // times].view(count // size, size // times), size, times)
    assert ours.shape == theirs.shape and torch.equal(ours.sort(1).values, theirs.sort(1).values)
    if ranks >= times:      # copies of an image go to different ranks, in timm's order and in ours
        for batch in (*ours, *theirs):
            assert [len(piece.unique()) for piece in batch.tensor_split(ranks)] == [part] * ranks


def test_an_epoch_keeps_its_number_of_images_and_has_a_third_of_them():
    found = batches()
    assert found.shape == (6, 12)
    assert [len(batch.unique()) for batch in found] == [4] * 6
    rows, often = found.unique(return_counts=True)
    assert len(rows) == 72 // 3 and often.tolist() == [3] * 24


@pytest.mark.parametrize(("size", "times", "often"), [(8, 3, [2, 3, 3]), (4, 5, [4]), (3, 1, [1, 1, 1])])
def test_where_it_does_not_divide_the_last_come_once_less(size, times, often):
    for batch in batches(counts=(20, 5), size=size, times=times):
        assert sorted(batch.unique(return_counts=True)[1].tolist()) == often


def test_every_image_is_as_likely():
    order = RepeatedAugmentation(3).sampler(None, make_run(counts=(18, 6), batch_size=6))
    images = torch.cat([order(0.0).unique() for _ in range(3000)])
    often = torch.bincount(images, minlength=24)
    assert int(often.sum()) == 3000 * 8
    # Without replacement inside an epoch: the variance is that of a draw of 8 of 24.
    assert stats.chi2.sf(float((often - 1000).square().sum() / (3000 * (1 / 3) * (2 / 3)) * 23 / 24), 23) > 1e-3


def test_copies_are_augmented_each_by_itself():
    trainer = prepare(Bundle((Use(RepeatedAugmentation(2)), Use(Crop(4))), batch_size=16, epochs=1), make_dataset())
    trainer.enter(trainer.plan.phases[0])
    rows = next(trainer.rows(1, 0))
    images = trainer.batch(rows).images
    assert torch.equal(rows[:8], rows[8:])
    alike = [torch.equal(one, other) for one, other in zip(images[:8], images[8:], strict=True)]
    assert sum(alike) <= 2      # each pair with a chance of 1 in 81


def test_refuses_to_show_an_image_no_time():
    with pytest.raises(BundleError, match=r"repeated_augmentation\.times: 0 is not allowed; times must be >= 1"):
        RepeatedAugmentation(0)

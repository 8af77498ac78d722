import pytest
import torch
from scipy import stats

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.sampler.reverse_sampling import ReverseSampling
from tests.conftest import make_run


def streams(counts, batch_size, orders=1):
    """The labels of both streams, which alternate inside a batch, over some orders."""
    run = make_run(counts=counts, batch_size=batch_size)
    order = ReverseSampling().sampler(None, run)
    batches = torch.cat([order(0.0).view(-1, batch_size) for _ in range(orders)])
    return run, batches[:, ::2], batches[:, 1::2]


def test_the_second_stream_draws_classes_the_other_way_round():
    run, _, second = streams((800, 400, 0, 100), 100, orders=20)
    found = torch.bincount(run.targets.single[second.flatten()], minlength=4)
    # max n / n is 1, 2, none and 8, of 11 in all
    assert int(found.sum()) == 20 * 13 * 50 and found[2] == 0
    weights = torch.tensor([1., 2., 8.]).double() / 11
    assert stats.chisquare(found[[0, 1, 3]], weights * 13_000).pvalue > 1e-3


def test_the_second_stream_draws_images_of_a_class_alike():
    _, _, second = streams((60, 4), 8, orders=200)
    rare = torch.bincount(second.flatten(), minlength=64)[60:]
    assert stats.chisquare(rare).pvalue > 1e-3


def test_the_first_stream_draws_images_alike_without_replacement():
    _, first, _ = streams((800, 400, 100), 100)
    assert len(first.unique()) == first.numel() == 13 * 50
    _, first, _ = streams((12, 4), 4, orders=2000)
    often = torch.bincount(first.flatten(), minlength=16)
    assert int(often.sum()) == 2000 * 8 and stats.chisquare(often).pvalue > 1e-3


def test_an_odd_batch_has_one_image_more_of_the_first_stream():
    _, first, second = streams((20, 10), 5)
    assert first.shape == (6, 3) and second.shape == (6, 2)


@pytest.mark.parametrize("window", [Window(), Window(0.3, 1.0)])
def test_batches_of_the_trainer_hold_both_streams(dataset, window):
    trainer = prepare(Bundle((Use(ReverseSampling(), window),), epochs=4, batch_size=18), dataset)
    trainer.enter(trainer.plan.phases[-1])
    seen = [[*trainer.rows(2, 0), *trainer.rows(3, 2)] for _ in range(100)]  # an epoch of five steps, in two parts
    labels = trainer.run.targets.single[torch.stack([torch.stack(batches) for batches in seen])]
    shares = [torch.bincount(stream.flatten(), minlength=4) / stream.numel()
              for stream in (labels[..., ::2], labels[..., 1::2])]
    assert shares[0].tolist() == pytest.approx([48 / 90, 24 / 90, 12 / 90, 6 / 90], abs=4 * 0.5 / 4500**0.5)
    assert shares[1].tolist() == pytest.approx([1 / 15, 2 / 15, 4 / 15, 8 / 15], abs=4 * 0.5 / 4500**0.5)


def test_brings_resampling_and_refuses_batches_of_one():
    assert Trait.RESAMPLES in ReverseSampling.provides
    with pytest.raises(BundleError, match=r"training\.batch_size: 1 is not allowed with reverse_sampling.* >= 2"):
        ReverseSampling().sampler(None, make_run(batch_size=1))

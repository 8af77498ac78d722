
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn.functional import interpolate

from autotricks.core.run import Run
from autotricks.errors import BundleError, ModelError
from autotricks.tricks.batch.multi_scale import MultiScale, scales
from tests.conftest import make_batch, make_run


def same(batch):
    return batch


def flexible(shape=(2, 16, 16), seed=0, epochs=10) -> Run:
    """A run whose model takes images of any size; 2 steps an epoch."""
    run = make_run(image_shape=shape, seed=seed, epochs=epochs)
    run.model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(shape[0], 3))
    return run


def drawn(run, trick, batch):
    """The size of the batch of every step."""
    mix, found = trick.batch(same, run), []
    for step in range(run.steps):
        run.progress = step / run.steps
        found.append(tuple(mix(batch).images.shape[-2:]))
    return found


@pytest.mark.parametrize(("smallest", "largest", "expected"), [
    (0.75, 1.25, [0.75, 0.875, 1.0, 1.125, 1.25]), (0.8, 1.2, [0.875, 1.0, 1.125]), (0.75, 0.75, [0.75]),
    (0.8, 0.8, [0.8]), (1.5, 1.0, [1.5]), (2.0, 2.1, [2.0])])
def test_scales_are_eighths(smallest, largest, expected):
    assert scales(smallest, largest) == expected


def test_every_size_is_as_likely():
    run, batch = flexible(epochs=2000), make_batch([0], image_shape=(2, 16, 16))
    found = drawn(run, MultiScale(smallest=0.75, largest=1.25), batch)
    sizes = [(side, side) for side in (12, 14, 16, 18, 20)]
    assert set(found) == set(sizes) and len(found) == 4000
    assert stats.chisquare([found.count(size) for size in sizes]).pvalue > 1e-3
    pairs = [found[0::2].count(size) for size in sizes]     # no rhythm
    assert stats.chisquare(pairs).pvalue > 1e-3


def test_small_images_have_fewer_sizes_each_once():
    run, batch = flexible((1, 4, 4), epochs=2000), make_batch([0], image_shape=(1, 4, 4))
    found = drawn(run, MultiScale(smallest=0.75, largest=1.0), batch)   # 3, 3.5 -> 4, 4
    assert set(found) == {(3, 3), (4, 4)}
    assert stats.binomtest(found.count((3, 3)), len(found)).pvalue > 1e-3


def test_sizes_depend_on_the_seed_and_the_step_alone():
    batch = make_batch([0, 1], image_shape=(2, 16, 16))
    first = drawn(flexible(seed=1, epochs=50), MultiScale(), batch)
    run = flexible(seed=1, epochs=50)
    torch.rand(99, generator=run.generator)                 # what was drawn before does not matter, nor a new phase
    before = run.generator.get_state()
    assert drawn(run, MultiScale(), batch) == first
    assert torch.equal(run.generator.get_state(), before)
    assert drawn(flexible(seed=2, epochs=50), MultiScale(), batch) != first


def test_images_are_interpolated_and_the_rest_of_the_batch_stays():
    run, batch = flexible((2, 16, 8)), make_batch([0, 1, 2], image_shape=(2, 16, 8))
    found = MultiScale(smallest=0.5, largest=0.5).batch(same, run)(batch)
    assert torch.allclose(found.images, interpolate(batch.images, (8, 4), mode="bilinear", antialias=True))
    assert found.targets is batch.targets and found.rows is batch.rows
    own = MultiScale(smallest=1.0, largest=1.0).batch(same, run)(batch)
    assert own.images is batch.images


def test_a_model_of_one_size_is_refused():
    with pytest.raises(ModelError, match=r"^multi_scale: Sequential cannot take images of 3 x 3: .* or drop multi_sc"):
        MultiScale().batch(same, make_run())


def test_refuses_a_scale_of_nothing():
    with pytest.raises(BundleError, match=r"multi_scale\.smallest: 0 is not allowed; smallest must be > 0 \(times the"):
        MultiScale(smallest=0)

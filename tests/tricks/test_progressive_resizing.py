import pytest
import timm
import torch
from torch.nn.functional import interpolate

from autotricks.errors import BundleError, ModelError
from autotricks.tricks.batch.progressive_resizing import ProgressiveResizing, grown
from tests.conftest import make_batch, make_run
from tests.tricks.test_multi_scale import flexible, same


@pytest.mark.parametrize(("progress", "scale"), [
    (0.0, 0.5), (0.5, 0.5), (0.575, 0.625), (0.65, 0.75), (0.799, 0.5 + 0.5 * 0.299 / 0.3), (0.8, 1.0), (1.0, 1.0)])
def test_the_scale_by_hand(progress, scale):
    assert grown(progress, 0.5, 0.5, 0.8) == pytest.approx(scale)


def test_where_there_is_no_time_to_grow_it_jumps():
    assert [grown(progress, 0.5, 0.6, 0.6) for progress in (0.0, 0.59, 0.6)] == [0.5, 0.5, 1.0]
    assert [grown(progress, 0.5, 0.9, 0.3) for progress in (0.0, 0.29, 0.3)] == [0.5, 0.5, 1.0]


def sizes(trick, shape, progresses):
    run, batch = flexible(shape), make_batch([0], image_shape=shape)
    mix, found = trick.batch(same, run), []
    for run.progress in progresses:
        found.append(tuple(mix(batch).images.shape[-2:]))
    return found


def test_sides_grow_in_steps_that_lead_to_the_full_size():
    trick = ProgressiveResizing(first=0.5, delay=0.0, full=1.0, step=4)
    found = sizes(trick, (1, 30, 40), [number / 100 for number in range(101)])
    assert found[0] == (18, 20) and found[-1] == (30, 40) and found == sorted(found)
    assert {height for height, _ in found} == {18, 22, 26, 30}
    assert {width for _, width in found} == {20, 24, 28, 32, 36, 40}
    assert sizes(ProgressiveResizing(step=1), (1, 8, 8), [0.0, 0.6, 0.65, 0.9]) == [(4, 4), (5, 5), (6, 6), (8, 8)]


def test_a_step_larger_than_the_image_changes_nothing_before_its_time():
    assert sizes(ProgressiveResizing(step=100), (1, 8, 8), [0.0, 0.7, 1.0]) == [(8, 8)] * 3


def test_training_costs_about_half():
    """At the defaults, in pixels: what the docstring says."""
    found = sizes(ProgressiveResizing(step=1), (1, 64, 64), [number / 1000 for number in range(1000)])
    assert sum(height * width for height, width in found) / 64 ** 2 / 1000 == pytest.approx(0.5, abs=0.01)


def test_images_are_interpolated_and_the_rest_of_the_batch_stays():
    run, batch = flexible((2, 16, 8)), make_batch([0, 1, 2], image_shape=(2, 16, 8))
    found = ProgressiveResizing(first=0.5).batch(same, run)(batch)
    assert torch.allclose(found.images, interpolate(batch.images, (8, 4), mode="bilinear", antialias=True))
    assert found.targets.labels is batch.targets.labels and found.rows is batch.rows
    run.progress = 0.9
    assert ProgressiveResizing(first=0.5).batch(same, run)(batch).images is batch.images


def test_a_model_of_one_size_is_refused():
    with pytest.raises(ModelError, match=r"^progressive_resizing: Sequential cannot take images of 2 x 2: .* or drop "):
        ProgressiveResizing(step=1).batch(same, make_run())


@pytest.mark.parametrize(("name", "side", "expected"), [
    ("vit_tiny_patch16_224", 64, {32, 48, 64}), ("swin_tiny_patch4_window7_224", 56, {28, 32, 36, 40, 44, 48, 52, 56})])
def test_vision_transformers_train_on_whole_patches(name, side, expected):
    run, batch = make_run(image_shape=(3, side, side)), make_batch([0, 1], image_shape=(3, side, side))
    run.model = timm.create_model(name, num_classes=3, img_size=side)
    trick = ProgressiveResizing(first=0.5, delay=0.0, full=1.0, step=1)
    trick.check(run)
    mix, found = trick.batch(same, run), []
    for run.progress in [number / 50 for number in range(51)]:
        found.append(mix(batch).images.shape[-2:])
    assert {height for height, _ in found} == {width for _, width in found} == expected and found == sorted(found)
    for size in (found[0], found[25]):
        run.model(torch.randn(2, 3, *size)).sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in run.model.parameters())


def test_what_cannot_resample_its_positions_is_refused_before_the_first_step():
    run = make_run(image_shape=(3, 32, 32))
    run.model = timm.create_model("beit_base_patch16_224", num_classes=3, img_size=32, depth=1)
    with pytest.raises(ModelError, match=r"Beit cannot take images of 16 x 16: Input height \(16\) doesn't match"):
        ProgressiveResizing(first=0.5).check(run)


def test_refuses_to_begin_with_nothing():
    with pytest.raises(BundleError, match=r"progressive_resizing\.first: 0 is not allowed; first must be > 0 and <= 1"):
        ProgressiveResizing(first=0)

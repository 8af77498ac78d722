import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from autotricks.functional import augmentation_policies
from autotricks.functional.augmentation_policies import Range
from autotricks.functional.image_operations import Operation
from autotricks.tricks.augment.trivial_augment import TrivialAugment, wide
from tests.conftest import augment, make_run
from tests.core.test_policy import CPU, named, torchvisions


def same(images):
    return images


def test_the_wide_space_is_torchvisions():
    found = Range.of(wide(64, 48), CPU)
    assert {named(operation) for operation in found.operations} == set(v2.TrivialAugmentWide._AUGMENTATION_SPACE)
    for place, operation in enumerate(found.operations):
        for level in range(31):
            expected = torchvisions(v2.TrivialAugmentWide._AUGMENTATION_SPACE, operation, level, 31, 64, 48)
            magnitude = found.magnitudes(torch.tensor([place]), torch.tensor([level / 30]), torch.tensor([False]))
            magnitude = magnitude.round() if operation is Operation.POSTERIZE else magnitude
            assert float(magnitude) == pytest.approx(expected, abs=1e-4), (operation, level)


def test_small_images_are_not_moved_further_than_their_side():
    assert wide(8, 20)[Operation.TRANSLATE_X] == 20 and wide(8, 20)[Operation.TRANSLATE_Y] == 8


def test_operations_levels_and_signs_are_uniform(monkeypatch):
    seen = []
    monkeypatch.setattr(augmentation_policies, "operated", lambda batch, numbers, magnitudes, fill, among: seen.append(
        (numbers, magnitudes)) or batch)
    augment(TrivialAugment(), same, make_run(image_shape=(1, 8, 8)))(torch.zeros(56_000, 1, 8, 8))
    numbers, magnitudes = seen[0]
    assert len(seen) == 1 and stats.chisquare(torch.bincount(numbers, minlength=14)).pvalue > 1e-3
    steps = (magnitudes[numbers == Operation.ROTATE] / 135 * 30).round().long()
    assert stats.chisquare(torch.bincount(steps.abs(), minlength=31)).pvalue > 1e-3
    assert stats.binomtest(int((steps > 0).sum()), int((steps != 0).sum())).pvalue > 1e-3


def test_as_many_images_stay_as_the_law_says():
    """Nothing: identity; rest of the ten signed ones and of solarize; posterize at the first three levels, 8 bits."""
    run = make_run(image_shape=(3, 32, 32), seed=3)
    generator, count = torch.Generator().manual_seed(0), 4000
    image = torch.randint(0, 255, (3, 32, 32), generator=generator)
    image[0, 0] = 254                       # bright enough for the second level of solarize
    image[:, 1, :2], image[:, 2, :2] = 4, 250
    images = (image / 255).expand(count, -1, -1, -1)
    kept = (augment(TrivialAugment(), same, run)(images) - images).abs().amax((1, 2, 3)) < 1e-6
    law = (1 + 9 / 31 + 1 / 31 + 3 / 31) / 14
    assert stats.binomtest(int(kept.sum()), count, law).pvalue > 1e-3


def test_wraps_what_is_inside_and_stays_in_range():
    run, asked = make_run(image_shape=(3, 12, 10)), []
    changed = augment(TrivialAugment(), lambda images: asked.append(1) or images, run)
    found = changed(torch.rand(500, 3, 12, 10, generator=torch.Generator().manual_seed(1)))
    assert asked == [1] and found.shape == (500, 3, 12, 10)
    assert float(found.amin()) >= 0 and float(found.amax()) <= 1 and bool(found.isfinite().all())


def test_what_moves_in_is_black():
    run = make_run(image_shape=(1, 8, 8))
    found = augment(TrivialAugment(), same, run)(torch.full((600, 1, 8, 8), 1.0))
    corners = found[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert int((corners == 0).any(1).sum()) > 100 and not (found == run.mean).any()

import numpy as np
import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.augment.pca_color import COVARIANCE, PcaColor, color_covariance
from tests.conftest import augment, make_run


def same(images):
    return images


def colorful(count=30, depth=3):
    """Images whose channels go together, as those of photographs do."""
    generator = torch.Generator().manual_seed(0)
    light = torch.randint(0, 200, (count, 1, 6, 5), generator=generator)
    own = torch.randint(0, 56, (count, depth, 6, 5), generator=generator)
    return (light + own).to(torch.uint8)


def started(images, sigma):
    run, trick = make_run(image_shape=tuple(images.shape[1:])), PcaColor(sigma=sigma)
    run.images = images
    trick.enter(run)
    return run, trick


def test_the_covariance_is_numpys():
    images = colorful(3000)                     # more than one part
    pixels = images.movedim(1, 0).flatten(1).numpy() / 255
    assert color_covariance(images).numpy() == pytest.approx(np.cov(pixels, bias=True), rel=1e-4)


def test_the_noise_has_the_papers_distribution():
    """sum of p alpha lambda with eigenpairs from numpy: its covariance is sigma^2 P Lambda^2 P'."""
    run, trick = started(colorful(), 0.3)
    count = 40_000
    noise = (augment(trick, same, run)(torch.full((count, 3, 1, 1), 0.5)) - 0.5).flatten(1).double().numpy()
    pixels = run.images.movedim(1, 0).flatten(1).numpy() / 255
    variances, components = np.linalg.eigh(np.cov(pixels, bias=True))
    expected = 0.3 ** 2 * components @ np.diag(variances ** 2) @ components.T
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected ** 2) / count)
    assert (np.abs(np.cov(noise.T) - expected) < 4 * error).all()
    assert (np.abs(noise.mean(0)) < 4 * np.sqrt(np.diag(expected) / count)).all()
    along = noise @ components / (0.3 * variances)          # each component again a standard normal number
    assert along.std(0) == pytest.approx([1, 1, 1], rel=0.02)


def test_all_pixels_of_an_image_get_the_same_color():
    run, trick = started(colorful(), 0.1)
    images = 0.4 + 0.2 * torch.rand(50, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    shift = augment(trick, same, run)(images) - images
    assert torch.allclose(shift, shift[:, :, :1, :1].expand_as(shift), atol=1e-6)
    assert len(shift[:, :, 0, 0].unique(dim=0)) == 50


def test_gray_images_become_brighter_or_darker():
    run, trick = started(colorful(depth=1), 0.5)
    shift = augment(trick, same, run)(torch.full((20_000, 1, 6, 5), 0.5))[:, 0, 0, 0] - 0.5
    expected = 0.5 * float((run.images.float() / 255).var(correction=0))
    assert float(shift.std()) == pytest.approx(expected, rel=0.03)


def test_values_stay_in_range_and_nothing_changes_without_sigma():
    run, trick = started(colorful(), 50.0)
    found = augment(trick, same, run)(torch.rand(50, 3, 6, 5))
    assert float(found.amin()) == 0 and float(found.amax()) == 1
    run, trick = started(colorful(), 0.0)
    images = torch.rand(5, 3, 6, 5)
    assert torch.equal(augment(trick, same, run)(images), images)


def test_notes_when_its_window_opens_and_forgets_when_it_closes():
    run, trick = started(colorful(), 0.1)
    assert run.memory[COVARIANCE].shape == (3, 3)
    trick.leave(run)
    assert run.memory == {}


def test_refuses_a_negative_sigma():
    with pytest.raises(BundleError, match=r"pca_color\.sigma: -0\.1 is not allowed; sigma must be >= 0 \(times the"):
        PcaColor(sigma=-0.1)

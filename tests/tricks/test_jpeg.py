import pytest
import torch
from scipy import stats
from sklearn.datasets import load_sample_images
from torchvision.io import decode_jpeg, encode_jpeg

from autotricks.errors import BundleError
from autotricks.tricks.augment.jpeg import Jpeg, compressed, cosines, tables
from tests.conftest import augment, make_run

CPU = torch.device("cpu")


def same(images):
    return images


def photographs(height=48, width=48, count=12):
    """Pieces of the two photographs that come with scikit-learn, half their size; uint8."""
    pieces = []
    for image in load_sample_images().images:
        image = torch.from_numpy(image.copy()).permute(2, 0, 1)[:, ::2, ::2]
        for number in range(count // 2):
            top, left = 30 * (number % 3) + 10, 45 * number + 5
            pieces.append(image[:, top:top + height, left:left + width])
    return torch.stack(pieces).contiguous()


def lossy(images, quality):
    return compressed(images.float() / 255, torch.full((len(images),), quality), tables(CPU), cosines(CPU))


def noise_ratio(left, right):
    """Peak signal to noise ratio in decibels."""
    return float(-10 * ((left - right) ** 2).mean().log10())


def libjpegs(images, quality):
    return torch.stack([decode_jpeg(encode_jpeg(image, quality)) for image in images]).float() / 255


@pytest.mark.parametrize("size", [(48, 48), (45, 38)])
@pytest.mark.parametrize(("quality", "loss"), [(5, 22), (30, 27), (50, 29), (75, 31), (95, 35)])
def test_color_images_come_out_as_from_libjpeg(quality, loss, size):
    """Libjpeg's arithmetic of whole numbers now and then rounds a frequency to the next step: 41 dB, or 1 of 255."""
    images = photographs(*size)
    expected = libjpegs(images, quality)
    assert noise_ratio(images / 255, expected) == pytest.approx(loss, abs=1.0)      # what is lost is much more
    assert noise_ratio(lossy(images, quality), expected) > 41


@pytest.mark.parametrize("size", [(48, 48), (45, 38)])
@pytest.mark.parametrize("quality", [5, 30, 50, 75, 95, 100])
def test_gray_images_come_out_as_from_libjpeg(quality, size):
    images = photographs(*size)[:, 1:2].contiguous()
    found, expected = lossy(images, quality), libjpegs(images, quality)
    assert noise_ratio(found, expected) > 44
    assert float(((found - expected).abs() < 0.5 / 255).float().mean()) > 0.75


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (1, 3), (17, 1)])
def test_tiny_images_come_out_as_from_libjpeg(size, depth):
    """A single frequency rounded otherwise is seen in all of such an image."""
    images = photographs(*size)[:, :depth].contiguous()
    assert noise_ratio(lossy(images, 90), libjpegs(images, 90)) > 36


def test_the_transform_is_orthogonal_and_its_first_row_the_mean():
    transform = cosines(CPU)
    assert torch.allclose(transform @ transform.T, torch.eye(64), atol=1e-6)
    assert torch.allclose(transform[0], torch.full((64,), 1 / 8))


def test_the_steps_are_those_of_the_standard():
    bright, color = tables(CPU)
    assert bright[[0, 1, 7, 8, 56, 63]].tolist() == [16, 11, 61, 12, 72, 99] and float(bright.sum()) == 3688
    assert color[[0, 3, 4, 9, 27, 63]].tolist() == [17, 47, 99, 21, 99, 99]
    assert torch.equal(color.view(8, 8), color.view(8, 8).T)


def test_a_level_image_stays_but_for_rounding():
    found = lossy(torch.full((1, 1, 8, 8), 100, dtype=torch.uint8), 50)     # -28 * 8 = -224 is 14 steps of 16
    assert torch.equal((found * 255).round(), torch.full((1, 1, 8, 8), 100.0))


def test_each_image_has_its_own_quality_and_less_is_worse():
    image = photographs()[3:4].float() / 255
    qualities = torch.tensor([5, 20, 60, 95])
    found = compressed(image.expand(4, -1, -1, -1), qualities, tables(CPU), cosines(CPU))
    losses = [noise_ratio(one, image[0]) for one in found]
    assert losses == sorted(losses) and losses[0] < losses[-1] - 10
    alone = compressed(image, qualities[1:2], tables(CPU), cosines(CPU))
    assert torch.allclose(found[1:2], alone, atol=1.01 / 255) and noise_ratio(found[1:2], alone) > 60


def test_as_many_images_as_said_at_uniform_qualities(monkeypatch):
    seen = []
    monkeypatch.setattr("autotricks.tricks.augment.jpeg.compressed", lambda images, quality, steps, transform:
                        seen.append(quality) or images + 1)
    found = augment(Jpeg(lowest=60, probability=0.3), same, make_run())(torch.zeros(9000, 1, 1, 1))
    assert stats.binomtest(int(found.sum()), 9000, 0.3).pvalue > 1e-3
    assert stats.chisquare(torch.bincount(seen[0] - 60, minlength=36)).pvalue > 1e-3


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_values_stay_in_range(depth):
    run, images = make_run(image_shape=(depth, 8, 8)), (torch.rand(100, depth, 8, 8) > 0.5).float()
    found = augment(Jpeg(lowest=1, probability=1.0), same, run)(images)
    assert found.shape == images.shape and float(found.amin()) >= 0 and float(found.amax()) <= 1


def test_refuses_a_quality_of_nothing():
    with pytest.raises(BundleError, match=r"jpeg\.lowest: 0 is not allowed; lowest must be >= 1 and <= 95 \(quality\)"):
        Jpeg(lowest=0)

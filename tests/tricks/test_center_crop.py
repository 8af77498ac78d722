import pytest
import torch
from torchvision.transforms import v2

from autotricks.errors import BundleError
from autotricks.tricks.predict.center_crop import CenterCrop
from tests.conftest import make_run


def same(images):
    return images


@pytest.mark.parametrize(("ratio", "side", "larger"), [(0.875, 56, 64), (0.9375, 30, 32)])
def test_is_resizing_and_cropping_as_torchvision_does_it(ratio, side, larger):
    images = torch.rand(3, 2, side, side)
    theirs = v2.Compose([v2.Resize(larger, antialias=True), v2.CenterCrop(side)])
    found = CenterCrop(ratio=ratio).predict(same, make_run(image_shape=(2, side, side)))(images)
    assert torch.allclose(found, theirs(images), atol=1e-6)


def test_half_of_an_image_shows_its_middle_twice_as_large():
    images = torch.zeros(1, 1, 8, 8)
    images[..., 2:6, 2:6] = 1
    found = CenterCrop(ratio=0.5).predict(same, make_run(image_shape=(1, 8, 8)))(images)
    assert torch.equal(found[..., 1:-1, 1:-1], torch.ones(1, 1, 6, 6)) and float(found.min()) == 0.5625  # 0.75 squared


def test_all_of_an_image_is_the_image():
    images = torch.rand(2, 2, 4, 4)
    assert CenterCrop(ratio=1.0).predict(same, make_run())(images).data_ptr() == images.data_ptr()


def test_refuses_more_than_there_is():
    with pytest.raises(BundleError, match=r"center_crop\.ratio: 1\.1 is not allowed"):
        CenterCrop(ratio=1.1)

"""Each operation against torchvision's functional form on single images; torchvision is not used by the package."""
import math

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from autotricks.functional.image_operations import BLENDS, CURVES, GEOMETRY, Operation, applied, luminance, smoothed

AT_REST = {Operation.POSTERIZE: 8.0, Operation.SOLARIZE: 256.0}
MEASURED = [operation for operation in Operation if operation not in (
    Operation.IDENTITY, Operation.AUTO_CONTRAST, Operation.EQUALIZE, Operation.INVERT)]


def pictures(count=6, depth=3, height=17, width=20, seed=0):
    """Images of 256 values: noise, narrow ranges, few values, one value."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, depth, height, width), generator=generator)
    images[1] = 90 + images[1] // 4
    images[2] = images[2] // 64 * 60
    images[3, 0] = 77
    if count > 4:
        images[4] = 200
    return images.to(torch.uint8)


def done(images, operation, magnitude=0.0, fill=0.0, bilinear=False):
    count, depth = images.shape[:2]
    return applied(images, torch.full((count,), int(operation)), torch.full((count,), float(magnitude)),
                   torch.full((depth, 1, 1), fill), tuple(Operation), bilinear)


def test_every_operation_has_its_pass():
    assert len(Operation) == 15 and set(Operation) - {Operation.IDENTITY} == GEOMETRY | BLENDS | CURVES
    assert not GEOMETRY & BLENDS and not BLENDS & CURVES


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("operation", "magnitude", "expected"), [
    *[(Operation.POSTERIZE, bits, lambda image, bits=bits: reference.posterize(image, bits)) for bits in range(1, 9)],
    *[(Operation.SOLARIZE, value, lambda image, value=value: reference.solarize(image, value))
      for value in (0, 1, 77, 128, 255)],
    (Operation.EQUALIZE, 0, reference.equalize), (Operation.INVERT, 0, reference.invert)])
def test_a_curve_is_torchvisions_to_the_bit(operation, magnitude, expected, depth):
    images = pictures(depth=depth)
    found = (done(images.float() / 255, operation, magnitude) * 255).round().to(torch.uint8)
    assert torch.equal(found, torch.stack([expected(image) for image in images]))


@pytest.mark.parametrize("shape", [(3, 40, 64), (1, 8, 8), (3, 5, 60), (1, 16, 16), (3, 250, 260)])
def test_equalize_is_torchvisions_at_every_size(shape):
    images = pictures(4, *shape, seed=1)
    found = (done(images.float() / 255, Operation.EQUALIZE) * 255).round().to(torch.uint8)
    assert torch.equal(found, torch.stack([reference.equalize(image) for image in images]))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("operation", "magnitude", "expected"), [
    (Operation.AUTO_CONTRAST, 0.0, reference.autocontrast),
    *[(operation, magnitude, lambda image, how=how, magnitude=magnitude: how(image, 1 + magnitude))
      for operation, how in ((Operation.BRIGHTNESS, reference.adjust_brightness),
                             (Operation.COLOR, reference.adjust_saturation),
                             (Operation.CONTRAST, reference.adjust_contrast),
                             (Operation.SHARPNESS, reference.adjust_sharpness))
      for magnitude in (-0.99, -0.4, 0.3, 0.9)]])
def test_blends_and_autocontrast_are_torchvisions(operation, magnitude, expected, depth):
    images = pictures(depth=depth).float() / 255
    found = done(images, operation, magnitude)
    assert torch.allclose(found, torch.stack([expected(image) for image in images]), atol=2e-6)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize(("operation", "magnitude", "how"), [
    (Operation.SHEAR_X, 0.37, {"shear": [math.degrees(math.atan(0.37)), 0.0], "center": [0, 0]}),
    (Operation.SHEAR_X, -0.97, {"shear": [math.degrees(math.atan(-0.97)), 0.0], "center": [0, 0]}),
    (Operation.SHEAR_Y, 0.23, {"shear": [0.0, math.degrees(math.atan(0.23))], "center": [0, 0]}),
    (Operation.TRANSLATE_X, 5.8, {"translate": [5, 0]}), (Operation.TRANSLATE_X, -5.8, {"translate": [-5, 0]}),
    (Operation.TRANSLATE_Y, 3.2, {"translate": [0, 3]}), (Operation.TRANSLATE_Y, -30.0, {"translate": [0, -30]}),
    (Operation.ROTATE, 23.7, {"angle": -23.7}), (Operation.ROTATE, -131.3, {"angle": 131.3})])
def test_geometry_is_torchvisions(operation, magnitude, how, bilinear):
    """`affine` turns clockwise, `rotate`, which policies use, counter-clockwise."""
    images = pictures().float() / 255
    how = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], "fill": [0.25] * 3, **how}
    mode = InterpolationMode.BILINEAR if bilinear else InterpolationMode.NEAREST
    expected = torch.stack([reference.affine(image, interpolation=mode, **how) for image in images])
    found = done(images, operation, magnitude, 0.25, bilinear)
    if bilinear:  # torchvision blends the edge with the fill in another way
        fill = torch.ones(1, 1, *images.shape[2:])
        inside = done(fill, operation, magnitude, 0.0, True).squeeze() > 0.999
        assert int(inside.sum()) > 30 or abs(magnitude) > 17
        assert torch.allclose(found[..., inside], expected[..., inside], atol=1e-3)
    else:
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_right_angles_are_exact(degrees, turns):
    images = pictures(height=16, width=16).float() / 255
    for bilinear in (False, True):
        found = done(images, Operation.ROTATE, degrees, 0.0, bilinear)
        assert torch.allclose(found, images.rot90(turns, (2, 3)), atol=1e-5)


def test_a_shear_by_hand():
    """Half a pixel for each row: rows 0 and 1 ask 1/4 and 3/4 of a pixel to the right."""
    image = torch.tensor([[0.0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7]]).view(1, 1, 2, 4)
    found = done(image, Operation.SHEAR_X, 0.5, 1.0)
    assert torch.allclose(found, torch.tensor([[0.0, 0.1, 0.2, 0.3], [0.5, 0.6, 0.7, 1.0]]).view(1, 1, 2, 4))


@pytest.mark.parametrize("operation", MEASURED)
def test_at_rest_nothing_changes(operation):
    images = pictures().float() / 255
    assert torch.allclose(done(images, operation, AT_REST.get(operation, 0.0), 0.3), images, atol=1e-7)


def test_each_image_has_its_own_and_the_others_none():
    images, numbers = pictures(15, height=18, width=16).float() / 255, torch.arange(15)
    magnitudes = torch.tensor([0, .3, -.2, 4, -3, 40, .5, -.5, .9, -.9, 3, 128, 0, 0, 0])
    fill = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    found = applied(images, numbers, magnitudes, fill, tuple(Operation))
    for place in range(15):
        alone = applied(images[place:place + 1], numbers[place:place + 1], magnitudes[place:place + 1], fill,
                        (Operation(place),))
        assert torch.equal(found[place:place + 1], alone), Operation(place)
        assert torch.equal(alone, images[place:place + 1]) == (place == 0 or bool((images[place] == 1).all()))
    assert float(found.amin()) >= 0 and float(found.amax()) <= 1


def test_what_moves_in_is_the_fill_of_each_channel():
    fill = torch.tensor([0.1, 0.2]).view(2, 1, 1)
    found = applied(torch.ones(1, 2, 3, 4), torch.tensor([Operation.TRANSLATE_X]), torch.tensor([2.0]), fill,
                    tuple(Operation))
    assert torch.allclose(found[0, :, 1], torch.tensor([[0.1, 0.1, 1, 1], [0.2, 0.2, 1, 1]]))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_images_without_color_have_none_to_change(depth):
    images = pictures(depth=depth).float() / 255
    assert torch.equal(done(images, Operation.COLOR, -0.9), images)
    assert not torch.equal(done(images, Operation.CONTRAST, -0.9), images)


def test_luminance_and_smoothing_by_hand():
    assert luminance(torch.tensor([1.0, 0.0, 0.5]).view(1, 3, 1, 1)).item() == pytest.approx(0.2989 + 0.057)
    assert luminance(torch.tensor([1.0, 0.5]).view(1, 2, 1, 1)).item() == pytest.approx(0.75)
    image = torch.arange(9.0).view(1, 1, 3, 3)
    image[0, 0, 1, 1] = 17
    found = smoothed(image)
    assert found[0, 0, 1, 1].item() == pytest.approx((36 - 4 + 5 * 17) / 13)
    assert torch.equal(found.flatten()[[0, 1, 2, 3, 5, 6, 7, 8]], image.flatten()[[0, 1, 2, 3, 5, 6, 7, 8]])
    tiny = torch.rand(2, 3, 2, 9)
    assert torch.equal(smoothed(tiny), tiny)

import copy
from functools import cache, partial

import pytest
import timm
import torch
import torchvision.models as zoo
from torch import nn

from autotricks.core.bundle import Use
from autotricks.core.plan import seated
from autotricks.core.slots import Slot
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.models.resnet import ResNet
from autotricks.nn.classifier import feature_maps
from autotricks.tricks.model.resnet_variant import ResnetVariant
from autotricks.tricks.model.unit_stride import UnitStride, dilate, shifted
from tests.conftest import built, make_run

RESNETS = ["resnet14", "timm:test_resnet", "timm:resnet18", "timm:resnet26d", "torchvision:resnet18",
           pytest.param("torchvision:resnet50", marks=pytest.mark.slow)]     # by default as its library makes it, below


@cache
def made(name):
    """A model that nobody may change: it is built once."""
    torch.manual_seed(0)
    model = ResNet(14, 5) if name == "resnet14" else built(name, 5, 3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.double().eval()


def maps(model, images):
    with torch.no_grad():
        return feature_maps(model, images)


@pytest.mark.parametrize(("stages", "size"), [
    (1, 70), (2, 64), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1, 64), (2, 70)))])
@pytest.mark.parametrize("name", RESNETS)
def test_the_old_maps_are_every_other_pixel_of_the_dilated_ones(name, stages, size):
    old, images = made(name), torch.randn(1, 3, size, size, dtype=torch.float64)
    new = UnitStride(stages, dilated=True).model(copy.deepcopy(old), make_run())
    before, after = maps(old, images), maps(new, images)
    assert after.shape[-1] > before.shape[-1]
    assert torch.allclose(after[:, :, ::2 ** stages, ::2 ** stages], before, atol=1e-10)


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize("name", RESNETS)
def test_maps_are_twice_as_large_and_the_weights_the_same(name, dilated):
    old = made(name)
    new, images = UnitStride(1, dilated).model(copy.deepcopy(old), make_run()), torch.zeros(1, 3, 64, 64).double()
    assert maps(new, images).shape[2:] == torch.Size(2 * side for side in maps(old, images).shape[2:])
    assert {name: value.shape for name, value in new.state_dict().items()} == {
        name: value.shape for name, value in old.state_dict().items()}
    assert new(images).shape == (1, 5)


@pytest.mark.parametrize(("name", "stages", "theirs"), [
    pytest.param("torchvision:resnet50", 1, partial(zoo.resnet50, replace_stride_with_dilation=[False, False, True]),
                 marks=pytest.mark.slow),
    ("torchvision:resnet50", 2, partial(zoo.resnet50, replace_stride_with_dilation=[False, True, True])),
    ("timm:resnet18", 1, partial(timm.create_model, "resnet18", output_stride=16)),
    ("timm:resnet18", 2, partial(timm.create_model, "resnet18", output_stride=8)),
    ("timm:resnet26", 2, partial(timm.create_model, "resnet26", output_stride=8))])
def test_is_what_the_libraries_do_when_told(name, stages, theirs):
    old, images = made(name), torch.randn(1, 3, 64, 64, dtype=torch.float64)
    oracle = theirs(num_classes=5).double().eval()
    oracle.load_state_dict(old.state_dict())
    new = UnitStride(stages, dilated=True).model(copy.deepcopy(old), make_run())
    with torch.no_grad():
        assert torch.allclose(new(images), oracle(images), atol=1e-10)
        assert not torch.allclose(old(images), oracle(images), atol=1e-3)


def seen(model):
    """How many rows of a large image the middle of the last maps depends on."""
    images = torch.randn(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
    features = feature_maps(model, images)
    features[0, :, features.shape[2] // 2, features.shape[3] // 2].sum().backward()
    rows = images.grad.abs().sum((0, 1, 3)).nonzero()
    return int(rows.max() - rows.min()) + 1


def test_without_dilation_a_pixel_sees_less_with_it_as_much_as_before():
    # a 3x3 convolution adds twice the distance of the pixels that it reads, which is the product of strides before it
    old = ResNet(8, 5).double().eval()
    plain, wide = (UnitStride(1, dilated).model(copy.deepcopy(old), make_run()) for dilated in (False, True))
    assert seen(old) == seen(wide) == 1 + 2 * (1 + (1 + 1) + (1 + 2) + (2 + 4)) == 25
    assert seen(plain) == 1 + 2 * (1 + (1 + 1) + (1 + 2) + (2 + 2)) == 21


@pytest.mark.parametrize("name", ["resnet14", "timm:resnet18"])
def test_comes_after_averaged_shortcuts_and_keeps_them(name):
    uses = [Use(UnitStride(dilated=True)), Use(ResnetVariant("d"))]
    assert [use.trick.name for use in seated(uses, Slot.MODEL)] == ["resnet_variant", "unit_stride"]
    old = ResnetVariant("d").model(copy.deepcopy(made(name)), make_run()).double()
    images = torch.randn(1, 3, 70, 70).double()
    wide, plain = (UnitStride(1, dilated).model(copy.deepcopy(old), make_run()) for dilated in (True, False))
    assert torch.allclose(maps(wide, images)[:, :, ::2, ::2], maps(old, images), atol=1e-10)
    assert maps(plain, images).shape == maps(wide, images).shape


@pytest.mark.parametrize(("pixels", "expected"), [(1, [2, 3, 4, 5, 5]), (2, [3, 4, 5, 4, 5]), (9, [1, 2, 3, 4, 5])])
def test_shifted_by_hand(pixels, expected):
    assert shifted(torch.tensor([[1, 2, 3, 4, 5]]), pixels, 1).tolist() == [expected]


@pytest.mark.parametrize(("kernel", "padding", "expected"), [(3, 1, ((2, 2), (2, 2))), (1, 0, ((1, 1), (0, 0)))])
def test_dilate(kernel, padding, expected):
    layer = nn.Conv2d(1, 1, kernel, padding=padding)
    dilate(layer)
    assert (layer.dilation, layer.padding) == expected


def test_bad_values_and_models():
    with pytest.raises(BundleError, match=r"unit_stride\.stages: 0 is not allowed; stages must be 1 to 3"):
        UnitStride(0)
    with pytest.raises(ModelError, match=r"unit_stride\.stages: ResNet has 2 stages .*, 3 are asked for\. Lower it"):
        UnitStride(3).model(build("resnet8", 5, 3), make_run())
    with pytest.raises(ModelError, match=r"stride of BlurPool2d in aa of a BasicBlock cannot be changed") as caught:
        UnitStride().model(build("timm:resnetblur18", 5, 3), make_run())
    assert len(caught.value.problems) == 1
    with pytest.raises(ModelError, match=r"unit_stride: SqueezeNet has no residual blocks"):
        UnitStride().model(built("torchvision:squeezenet1_1", 5, 3), make_run())

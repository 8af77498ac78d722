import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.errors import BundleError, ModelError
from autotricks.tricks.model.group_norm import GroupNorm, groups_of
from tests.conftest import built, make_run


def made(groups, channels):
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, 0.5, 2), nn.init.uniform_(norm.bias, -1, 1)
    return GroupNorm(groups).model(nn.Sequential(norm), make_run())[0]


@pytest.mark.parametrize(("channels", "groups", "expected"), [
    (64, 32, 32), (256, 32, 32), (32, 32, 16), (16, 32, 8), (48, 32, 24), (12, 5, 4), (6, 32, 3), (3, 32, 1), (1, 8, 1),
    (10, 1, 1), (22, 8, 2)])
def test_groups_are_equal_many_and_of_two_channels_at_least(channels, groups, expected):
    assert groups_of(channels, groups) == expected


def test_a_group_by_hand():
    norm = GroupNorm(2).model(nn.Sequential(nn.BatchNorm2d(4, eps=0.0)), make_run())[0]
    images = torch.tensor([1., 3., 5., 7., 0., 0., 0., 4.]).view(1, 4, 1, 2)
    # 1 3 5 7 has mean 4 and variance 5; 0 0 0 4 mean 1 and variance 3
    assert norm(images).flatten().tolist() == pytest.approx(
        [-3 / 5 ** .5, -1 / 5 ** .5, 1 / 5 ** .5, 3 / 5 ** .5, *[-1 / 3 ** .5] * 3, 3 / 3 ** .5])


def test_one_group_is_layer_norm_over_the_image():
    norm, images = made(1, 6), torch.randn(3, 6, 4, 5)
    weight, bias = (each.view(6, 1, 1).expand(6, 4, 5) for each in (norm.weight, norm.bias))
    assert torch.allclose(norm(images), F.layer_norm(images, [6, 4, 5], weight, bias), atol=1e-6)


def test_groups_of_one_channel_and_its_double_are_instance_norm():
    norm, half = made(3, 6), torch.randn(3, 3, 4, 5)
    images = half.repeat_interleave(2, 1)
    assert torch.allclose(norm(images), F.instance_norm(images, weight=norm.weight, bias=norm.bias), atol=1e-6)


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "timm:test_efficientnet", "torchvision:resnet18"])
def test_an_image_is_not_touched_by_its_batch_nor_by_training(name):
    torch.manual_seed(0)
    model = GroupNorm().model(built(name, 5, 3).double().requires_grad_(False), make_run())
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any("running" in key for key in model.state_dict())
    together, alone = model.train()(images), torch.cat([model.eval()(image) for image in images.split(1)])
    assert torch.allclose(together, alone, atol=1e-10) and float(together.detach().std()) > 1e-3


def test_keeps_scale_shift_and_epsilon():
    norm = nn.BatchNorm2d(4, eps=0.3)
    nn.init.uniform_(norm.weight), nn.init.uniform_(norm.bias)
    new = GroupNorm().model(nn.Sequential(norm), make_run())[0]
    assert torch.equal(new.weight, norm.weight) and torch.equal(new.bias, norm.bias) and new.eps == 0.3


def test_bad_values_and_models():
    with pytest.raises(BundleError, match=r"group_norm\.groups: 0 is not allowed"):
        GroupNorm(0)
    with pytest.raises(ModelError, match=r"group_norm: SqueezeNet has no batch norm.* drop group_norm\.") as caught:
        GroupNorm().model(built("torchvision:squeezenet1_1", 5, 3), make_run())
    assert len(caught.value.problems) == 1

import pytest
import torch
from torch import nn

from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.tricks.model.xavier import Xavier, variance
from tests.conftest import built, make_run


def test_variance_by_hand():
    assert variance(3 * 9, 5 * 9) == 2 / 72


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "torchvision:resnet18"])
def test_every_layer_has_the_variance_of_its_fans(name, distribution):
    model = Xavier(distribution).model(built(name, 5, 3), make_run())
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.weight.numel() > 2000]
    assert len(layers) >= 4
    for layer in layers:
        fan_in, fan_out = (wide * layer.weight[0, 0].numel() for wide in (layer.in_channels, layer.out_channels))
        assert float(layer.weight.detach().var()) * (fan_in + fan_out) == pytest.approx(2, rel=0.1)
        assert bool(layer.weight.abs().max() <= (6 / (fan_in + fan_out)) ** 0.5) == (distribution == "uniform")


def test_agrees_with_torch_on_the_bounds():
    layer, other = nn.Linear(200, 300).requires_grad_(False), nn.Linear(200, 300).requires_grad_(False)
    Xavier().model(nn.Sequential(layer), make_run())
    nn.init.xavier_uniform_(other.weight)
    assert float(layer.weight.abs().max()) == pytest.approx(float(other.weight.abs().max()), rel=1e-3)
    assert not layer.bias.any()


def test_keeps_the_variance_through_layers_without_activation():
    # forward and backward alike only where the layers are square, which is why the paper averages the fans
    layers = nn.Sequential(*[nn.Linear(256, 256) for _ in range(10)])
    Xavier("normal").model(layers, make_run())
    given = torch.randn(2000, 256, generator=torch.Generator().manual_seed(0))
    assert float(layers(given).detach().var()) == pytest.approx(1, rel=0.25)


def test_same_generator_same_weights_whatever_torch_drew():
    def made(seed):
        torch.manual_seed(seed)
        return Xavier().model(build("resnet8", 3, 1), make_run(seed=4)).state_dict()
    left, right = made(0), made(1)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_bad_values_and_models():
    with pytest.raises(BundleError, match=r"xavier\.distribution: 'cauchy' is not allowed; .* uniform or normal"):
        Xavier("cauchy")
    with pytest.raises(ModelError, match="has no convolution and no linear layer"):
        Xavier().model(nn.Sequential(nn.BatchNorm2d(2)), make_run())

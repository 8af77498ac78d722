import copy
from functools import cache
from itertools import product

import pytest
import torch
from torch import nn

from autotricks.errors import BundleError
from autotricks.models import build
from autotricks.tricks.model.kaiming import Kaiming
from tests.conftest import make_run, sampled

built = cache(build)     # of which each test takes a copy


WAYS = list(product(("normal", "uniform"), ("fan_in", "fan_out")))
LIBRARIES = [("timm:resnet18", "normal", "fan_out"), ("torchvision:resnet18", "uniform", "fan_in")]    # one way each


@pytest.mark.parametrize(("name", "distribution", "fan"), sampled(
    [(name, *way) for name in ("resnet20", "timm:resnet18", "torchvision:resnet18") for way in WAYS],
    *(("resnet20", *way) for way in WAYS), *LIBRARIES))
def test_variance_times_fan_is_two(name, distribution, fan):
    model = Kaiming(fan, distribution).model(copy.deepcopy(built(name, 5, 3)), make_run())
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000]
    assert len(layers) >= 8 and any(layer.in_channels != layer.out_channels for layer in layers)
    for layer in layers:
        wide = layer.in_channels if fan == "fan_in" else layer.out_channels
        count = wide * layer.weight[0, 0].numel()
        assert float(layer.weight.detach().var()) * count == pytest.approx(2, rel=0.1)
        assert bool(layer.weight.abs().max() <= (6 / count) ** 0.5) == (distribution == "uniform")


def test_keeps_the_mean_square_through_relus():
    layers = nn.Sequential(*[part for _ in range(10) for part in (nn.ReLU(), nn.Linear(512, 512))])
    Kaiming().model(layers, make_run())
    given = torch.randn(1000, 512, generator=torch.Generator().manual_seed(0))
    assert float(layers(given).square().mean().detach()) == pytest.approx(1, rel=0.3)


def test_depthwise_outputs_are_as_large_backward_as_forward():
    # torch counts all 64 channels as fan_out of each input, and draws an eighth of the deviation that is needed
    layer = nn.Conv2d(64, 64, 3, groups=64)
    Kaiming("fan_out").model(nn.Sequential(layer), make_run())
    assert float(layer.weight.detach().var()) * 9 == pytest.approx(2, rel=0.2)


def test_bad_values():
    with pytest.raises(BundleError, match=r"kaiming\.fan: 'fan' is not allowed; fan must be fan_in or fan_out"):
        Kaiming("fan")

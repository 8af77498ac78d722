import copy

import pytest
import torch
from torch import nn
from torchvision.models.vgg import make_layers

from autotricks.errors import ModelError
from autotricks.tricks.model.no_bias_before_bn import NoBiasBeforeBn
from tests.conftest import built, make_run


def biases(model):
    return [name for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None]


def test_a_vgg_loses_the_bias_of_each_convolution_and_computes_the_same():
    torch.manual_seed(0)
    before = nn.Sequential(make_layers([4, "M", 6, 8], batch_norm=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(8, 5)).double()
    for module in before.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0   # statistics are those of the last batch
    run = make_run(image_shape=(3, 32, 32), counts=(2, 2, 2, 2, 2))
    after = NoBiasBeforeBn().model(copy.deepcopy(before), run)
    assert biases(before) == ["0.0", "0.4", "0.7", "3"] and biases(after) == ["3"]
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    assert torch.allclose(after.train()(images), before.train()(images), atol=1e-10)
    other = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    assert torch.allclose(after.eval()(other), before.eval()(other), atol=1e-10)


def test_a_bias_that_counts_stays():
    # a bias before a ReLU, and one whose convolution is read beside batch norm too
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 3),
                          nn.BatchNorm2d(3))
    assert biases(NoBiasBeforeBn().model(model, make_run(image_shape=(2, 8, 8)))) == ["0"]


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "torchvision:resnet18"])
def test_resnets_have_none(name):
    model = built(name, 5, 3)
    names = list(model.state_dict())
    assert list(NoBiasBeforeBn().model(model, make_run(image_shape=(3, 32, 32))).state_dict()) == names


def test_a_model_without_batch_norm_is_one_clear_line():
    with pytest.raises(ModelError, match=r"no_bias_before_bn: Sequential has no batch normalization") as caught:
        NoBiasBeforeBn().model(nn.Sequential(make_layers([4, "M"])), make_run(image_shape=(3, 32, 32)))
    assert len(caught.value.problems) == 1

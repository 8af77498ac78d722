import copy

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.nn.fusing import fuse
from autotricks.trial import prepare
from autotricks.tricks.model.acnet import Acnet, folded
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.model.resnet_variant import ResnetVariant
from autotricks.tricks.model.unit_stride import UnitStride
from autotricks.tricks.model.zero_gamma import ZeroGamma
from tests.conftest import make_dataset, make_run

RESNETS = ["resnet8", "timm:test_resnet", "timm:resnet18", "torchvision:resnet18", "torchvision:resnet50"]
DEEP = ["timm:resnet18", "torchvision:resnet50"]   # in the slow run; of each library one is left
SIZE = 32


def changed(name, *before):
    torch.manual_seed(0)
    model, run = build(name, 5, 3), make_run(image_shape=(3, SIZE, SIZE))
    for trick in (*before, Acnet()):
        model = trick.model(model, run)
    return model


def stirred(model):
    """The model with statistics, scales and shifts as they may be after training."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1), nn.init.uniform_(module.running_var, 0.2, 3)
            nn.init.uniform_(module.weight, -1, 2), nn.init.uniform_(module.bias, -1, 1)
    return model.eval()


def one(layer, gamma=1.0):
    model = nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels))
    return Acnet(gamma).model(model, make_run(image_shape=(layer.in_channels, 9, 9)))


def test_folded_by_hand():
    layer, norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, eps=0.25)
    for tensor, values in ((layer.weight, [[[[3.]]], [[[5.]]]]), (layer.bias, [1., 0.]), (norm.weight, [2., 3.]),
                           (norm.bias, [10., 20.]), (norm.running_mean, [4., 1.]), (norm.running_var, [3.75, .75])):
        tensor.data.copy_(torch.tensor(values))
    weight, bias = folded(layer, norm)      # standard deviations 2 and 1
    assert weight.flatten().tolist() == [3 * 2 / 2, 5 * 3] and bias.tolist() == [10 + (1 - 4) * 2 / 2, 20 + (0 - 1) * 3]


def test_the_flat_kernels_lie_on_the_cross():
    model = one(nn.Conv2d(1, 1, 3, padding=1))
    branches = model[0]
    for layer, value in ((branches.square, 1.), (branches.vertical, 10.), (branches.horizontal, 100.)):
        nn.init.constant_(layer.weight, value)
    for norm in (branches.square_norm, branches.vertical_norm, branches.horizontal_norm):
        norm.eps = 0.0
    nn.init.zeros_(branches.square.bias)
    fused = fuse(model)
    assert fused[0].weight.squeeze().tolist() == [[1, 11, 1], [101, 111, 101], [1, 11, 1]]
    assert isinstance(fused[1], nn.Identity) and [type(module) for module in fused] == [nn.Conv2d, nn.Identity]


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("layer", [
    nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1, bias=False), nn.Conv2d(4, 6, 3, padding=2, dilation=2),
    nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.Conv2d(6, 6, 3, (2, 1), 1, groups=6)])
@pytest.mark.parametrize("size", [(9, 9), (8, 5)])
def test_one_convolution_does_what_three_do(layer, size, dtype, atol):
    torch.manual_seed(0)
    model = stirred(one(copy.deepcopy(layer)).to(dtype))
    images = torch.randn(2, layer.in_channels, *size, dtype=dtype)
    fused = fuse(model)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 3
    assert sum(isinstance(module, nn.Conv2d) for module in fused.modules()) == 1
    with torch.no_grad():
        assert torch.allclose(fused(images), model(images), atol=atol)
        assert float(model(images).std()) > 0.1


@pytest.mark.parametrize("name", [
    *(name for name in RESNETS if name not in DEEP), *(pytest.param(name, marks=pytest.mark.slow) for name in DEEP)])
def test_a_fused_network_computes_the_same(name):
    model = changed(name)
    plain, images = build(name, 5, 3), torch.randn(8, 3, 48, 48)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(images + 0.1)     # statistics as after training: logits of a usual size
    # the 53 layers of an untrained ResNet-50 already round to 7e-5 of the true logits, with branches and without
    for dtype, atol in ((torch.float32, 1e-5), (torch.float64, 1e-10))[name.endswith("50"):]:
        model, given = model.to(dtype).eval(), images[:4].to(dtype)
        fused = fuse(model)
        with torch.no_grad():
            assert torch.allclose(fused(given), model(given), atol=atol)
    square = [module for module in plain.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)]
    convolutions = {name for name, module in plain.named_modules() if isinstance(module, nn.Conv2d)}
    assert {name for name, module in fused.named_modules() if isinstance(module, nn.Conv2d)} == convolutions
    kernels = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(kernels) == len(convolutions) + 2 * len(square) and len(square) >= 7


def test_a_trained_network_fuses_and_the_trained_one_stays():
    trainer = prepare(Bundle((Use(Acnet()),), epochs=2, batch_size=16), make_dataset())
    list(trainer.epochs())
    model = trainer.evaluated.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randn(4, 1, 8, 8)
    assert torch.allclose(fuse(model)(images), model(images), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_are_15_for_9_and_the_square_ones_are_the_models_own():
    torch.manual_seed(0)
    plain = build("resnet8", 5, 3)
    model, again = changed("resnet8"), changed("resnet8")
    assert sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Conv2d)) * 9 == 15 * sum(
        module.weight.numel() for module in plain.modules() if isinstance(module, nn.Conv2d))
    assert torch.equal(model.layers[1].conv1.square.weight, plain.layers[1].conv1.weight)
    flat = model.layers[2].conv2.vertical.weight.detach()
    assert flat.shape == (64, 64, 3, 1) and float(flat.var()) * 64 * 3 == pytest.approx(2, rel=0.05)
    assert torch.equal(flat, again.layers[2].conv2.vertical.weight)


def test_draws_from_the_generator_of_the_run():
    def made(seed):
        layer = nn.Conv2d(2, 2, 3, padding=1)
        torch.manual_seed(seed)
        return one(layer)[0].horizontal.weight
    assert torch.equal(made(0), made(1))


def test_gamma_and_zero_gamma():
    model = one(nn.Conv2d(2, 3, 3, padding=1), 1 / 3)[0]
    assert all(norm.weight.tolist() == pytest.approx([1 / 3] * 3)
               for norm in (model.square_norm, model.vertical_norm, model.horizontal_norm))
    images, silent = torch.randn(2, 16, 8, 8), changed("resnet8", ZeroGamma())
    assert torch.equal(silent.layers[0](images.clone()), torch.relu(images))


def test_branches_follow_strides_and_stems_that_were_changed_before():
    model = changed("timm:resnet18", ResnetVariant("d"), UnitStride(dilated=True))
    branches = model.layer4[0].conv2
    assert branches.vertical.dilation == (2, 2) and branches.vertical.padding == (2, 0)
    assert branches.horizontal.padding == (0, 2)
    assert hasattr(model.conv1[0], "square") and hasattr(model.conv1[6], "vertical")
    images = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
    model = stirred(model.double())
    with torch.no_grad():
        found, expected = fuse(model)(images), model(images)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_leaves_no_place_for_another_norm():
    from autotricks.core.plan import problems

    assert problems((Use(Acnet()), Use(GroupNorm()))) == ["acnet and group_norm both take model.norm for 0-100% of "
                                                          "training. Drop one."]


def test_bad_values_and_models():
    with pytest.raises(BundleError, match=r"acnet\.gamma: 0\.0 is not allowed; gamma must be > 0"):
        Acnet(0.0)
    with pytest.raises(ModelError, match=r"acnet: Sequential has no 3x3 convolution whose output goes into") as caught:
        Acnet().model(nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), make_run())
    assert len(caught.value.problems) == 1

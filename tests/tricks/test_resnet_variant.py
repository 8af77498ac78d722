import copy
from itertools import product

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.models.resnet import Block
from autotricks.nn.residual import residual_blocks
from autotricks.tricks.model.resnet_variant import ResnetVariant, average_shortcut, deep_stem, move_stride
from tests.conftest import make_run, sampled


def variant(letter, name, classes=5):
    return ResnetVariant(letter).model(build(name, classes, 3), make_run())


def reached(function, images):
    """Which pixels a gradient reaches."""
    images = images.clone().requires_grad_()
    function(images).square().sum().backward()
    return images.grad.abs().sum((0, 1)) > 0


def bottleneck(seed=0):
    torch.manual_seed(seed)
    block = build("torchvision:resnet50", 5, 3).layer2[0].eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
    return block


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_a_bottleneck_of_variant_a_is_one_without_stride_on_every_other_pixel(size):
    block, images = bottleneck(), torch.randn(2, 256, *size)
    plain = copy.deepcopy(block)
    plain.conv2.stride = plain.downsample[0].stride = (1, 1)
    assert move_stride(block, "conv2", "conv1")
    with torch.no_grad():
        assert torch.allclose(block(images), plain(images[:, :, ::2, ::2]), atol=1e-5)


def test_a_ignores_three_quarters_of_the_pixels_b_and_d_none():
    images = torch.randn(1, 256, 8, 8)
    block = bottleneck()
    assert bool(reached(block, images).all())                                    # b, the libraries' own
    assert int(reached(block.downsample, images).sum()) == 16                    # but its shortcut ignores them too
    move_stride(block, "conv2", "conv1")
    seen = reached(block, images)
    assert int(seen.sum()) == 16 and bool(seen[::2, ::2].all())                  # a
    move_stride(block, "conv1", "conv2")
    assert average_shortcut(block)
    assert bool(reached(block.downsample, images).all())                         # d


@pytest.mark.parametrize(("name", "strides"), [
    ("timm:resnet26", {"a": ((2, 2), (1, 1)), "b": ((1, 1), (2, 2))}),
    ("timm:legacy_seresnet50", {"a": ((2, 2), (1, 1)), "b": ((1, 1), (2, 2))})])     # begins as b, and as a
def test_a_and_b_part_in_where_the_stride_is(name, strides):
    for letter, (first, second) in strides.items():
        blocks = residual_blocks(variant(letter, name), "test")
        strided = [block for block in blocks if block.downsample is not None][1:]
        assert len(strided) == 3
        assert all(block.conv1.stride == first and block.conv2.stride == second for block in strided)


OPTIONS = {"b": {}, "c": {"stem_type": "deep", "stem_width": 32},
           "d": {"stem_type": "deep", "stem_width": 32, "avg_down": True}}


@pytest.mark.parametrize(("letter", "depth"), sampled(product(OPTIONS, (18, 26)), ("b", 18), ("c", 26), ("d", 18),
                                                      ("d", 26)))
def test_is_timms_network_of_that_letter(depth, letter):
    oracle = timm.create_model(f"resnet{depth}", num_classes=5, **OPTIONS[letter]).double().eval()
    model = variant(letter, f"timm:resnet{depth}").double().eval()
    for module in oracle.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.weight, 0.5, 1)
    state = oracle.state_dict()
    if letter == "d":   # timm has an identity where a shortcut of the first stage is not strided
        state = {name.replace("layer1.0.downsample.1", "layer1.0.downsample.0").replace(
            "layer1.0.downsample.2", "layer1.0.downsample.1"): value for name, value in state.items()}
    model.load_state_dict(state)
    for size in (64, 70):
        images = torch.randn(1, 3, size, size, dtype=torch.float64)
        with torch.no_grad():
            assert torch.allclose(model(images), oracle(images), atol=1e-10)


def products(model):
    """Multiplications of convolutions and linear layers for an image of 224 x 224."""
    total = []

    def count(module, inputs, output):
        total.append(module.weight[0].numel() * output[0].numel())
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model.to("meta").eval()(torch.empty(1, 3, 224, 224, device="meta"))
    return sum(total)


# in a the first convolution of three blocks gives a quarter of the pixels that it gives in b
COSTS = [("a", 25.56, 4.09 - 3 * 256 * 128 * (56 ** 2 - 28 ** 2) / 1e9), ("b", 25.56, 4.09), ("c", 25.58, 4.33),
         ("d", 25.58, 4.33)]


@pytest.mark.parametrize(("letter", "millions", "billions"), sampled(COSTS, COSTS[0], COSTS[3]))
def test_resnet50_costs_what_the_papers_say(letter, millions, billions):
    model = variant(letter, "torchvision:resnet50", 1000)
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    assert products(model) / 1e9 == pytest.approx(billions, abs=0.005)


def test_d_of_ours_averages_cells_before_the_channels_of_zeros():
    block, images = Block(4, 8, 2), torch.randn(2, 4, 5, 6)
    assert average_shortcut(block)
    found = block.shortcut(images)
    assert found.shape == (2, 8, 3, 3) and not found[:, :2].any() and not found[:, 6:].any()
    assert torch.allclose(found[:, 2:6, 0, 0], images[:, :, :2, :2].mean((2, 3)))
    assert torch.allclose(found[:, 2:6, 2, 1], images[:, :, 4, 2:4].mean(2))     # at the border, the pixels there are
    assert bool(reached(block.shortcut, images).all())
    assert int(reached(Block(4, 8, 2).shortcut, images).sum()) == 9
    assert not average_shortcut(block) and not average_shortcut(Block(4, 4, 1))
    residual = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(images)))))
    assert torch.allclose(block(images), F.relu(residual + found), atol=1e-5)


@pytest.mark.parametrize("name", ["resnet8", "timm:resnet18", "torchvision:resnet18"])
def test_d_on_small_networks_predicts_and_keeps_the_names_of_weights(name):
    before, after = build(name, 5, 3), variant("d", name)
    kept = [key for key in before.state_dict() if "downsample" not in key and not key.startswith("conv1")]
    assert set(kept) <= set(after.state_dict())
    assert after.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert all(bool(path[0].kernel_size == 2) for block in residual_blocks(after, "test") if isinstance(
        path := getattr(block, "shortcut", getattr(block, "downsample", None)), nn.Sequential) and len(path) > 2)


def test_the_new_stem_comes_from_the_generator_of_the_run_with_kaimings_variance():
    def stem(seed):
        torch.manual_seed(seed)
        model = build("timm:resnet18", 5, 3)
        assert deep_stem(model, make_run(seed=3))
        return model.conv1
    left, right = stem(0), stem(1)
    assert all(torch.equal(one, other) for one, other in zip(left.parameters(), right.parameters(), strict=True))
    convolutions = [layer for layer in left if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels, layer.stride) for layer in convolutions] == [
        (3, 32, (2, 2)), (32, 32, (1, 1)), (32, 64, (1, 1))]
    assert float(left[6].weight.detach().var()) * 64 * 9 == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(("letter", "name", "said"), [
    ("a", "resnet8", "ResNet has no bottleneck of three convolutions, so it cannot become variant a"),
    ("a", "timm:resnet18", "no bottleneck"), ("c", "resnet8", "no first convolution of 7x7"),
    ("c", "timm:test_resnet", "no first convolution of 7x7"),
    ("d", "timm:resnet18d", "no shortcut that takes one pixel of several"),
    ("d", "torchvision:squeezenet1_1", "resnet_variant: SqueezeNet has no residual blocks")])
def test_a_variant_that_would_change_nothing_is_one_clear_line(letter, name, said):
    with pytest.raises(ModelError, match=said) as caught:
        variant(letter, name)
    assert len(caught.value.problems) == 1 and "drop resnet_variant" in str(caught.value)


def test_refuses_other_letters():
    with pytest.raises(BundleError, match=r"resnet_variant\.variant: 'e' is not allowed; variant must be a or b or c"):
        ResnetVariant("e")


def test_b_is_the_libraries_own_network():
    for name in ("resnet8", "timm:resnet18", "torchvision:resnet50"):
        torch.manual_seed(0)
        images, plain = torch.randn(1, 3, 32, 32), build(name, 5, 3).eval()
        torch.manual_seed(0)
        torch.randn(1, 3, 32, 32)
        assert torch.equal(variant("b", name).eval()(images), plain(images))



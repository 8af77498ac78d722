import pytest
import torch
import torch.nn.functional as F

from autotricks.models.resnet import Block, ResNet


def test_resnet32_has_0_46_million_weights():
    # Convolutions: stem 3*16*9; 10 of 16*16*9; 16*32*9 and 9 of 32*32*9; 32*64*9 and 9 of 64*64*9.
    convolutions = 9 * (3 * 16 + 10 * 16 * 16 + 16 * 32 + 9 * 32 * 32 + 32 * 64 + 9 * 64 * 64)
    norms = 2 * (16 + 10 * 16 + 10 * 32 + 10 * 64)  # scale and shift after every convolution; shortcuts have none
    head = 64 * 10 + 10
    count = sum(weight.numel() for weight in ResNet(32, 10).parameters())
    assert count == convolutions + norms + head == 464_154


@pytest.mark.parametrize(("depth", "convolutions"), [(8, 7), (20, 19), (56, 55)])
def test_depth_counts_the_layers_with_weights(depth, convolutions):
    model = ResNet(depth, 10)
    assert sum(isinstance(module, torch.nn.Conv2d) for module in model.modules()) == convolutions
    assert sum(isinstance(module, torch.nn.Linear) for module in model.modules()) == 1


def test_the_shortcut_takes_every_other_pixel_and_pads_with_zero_channels():
    block = Block(16, 32, 2).eval()
    for name, weight in block.named_parameters():
        if name.startswith("conv"):
            torch.nn.init.zeros_(weight)  # the residual is then zero
    images = torch.rand(2, 16, 6, 6)
    found = block(images)
    assert found.shape == (2, 32, 3, 3)
    assert torch.equal(found[:, 8:24], images[:, :, [0, 2, 4]][..., [0, 2, 4]])
    assert not found[:, :8].any() and not found[:, 24:].any()


def test_a_block_is_relu_of_residual_plus_identity():
    block, images = Block(4, 4, 1).eval(), torch.randn(2, 4, 5, 5)
    inner = F.relu(F.conv2d(images, block.conv1.weight, padding=1) / (1 + 1e-5) ** 0.5)
    residual = F.conv2d(inner, block.conv2.weight, padding=1) / (1 + 1e-5) ** 0.5
    assert torch.allclose(block(images.clone()), F.relu(residual + images), atol=1e-5)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32)])
def test_forward_is_the_head_of_the_features(channels, size):
    model, images = ResNet(8, 7, channels).eval(), torch.randn(2, channels, size, size)
    features = model.forward_features(images)
    assert features.shape == (2, 64, size // 4, size // 4)
    logits = model(images)
    assert logits.shape == (2, 7) and torch.equal(logits, model.forward_head(features))
    by_hand = features.mean((2, 3)) @ model.head.weight.T + model.head.bias
    assert torch.allclose(logits, by_hand, atol=1e-5)


def test_starts_without_zero_gamma_and_with_kaiming_weights():
    torch.manual_seed(0)
    model = ResNet(32, 10)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 31 and all(bool((norm.weight == 1).all() and (norm.bias == 0).all()) for norm in norms)
    weight = model.layers[-1].conv2.weight.detach()
    assert float(weight.var()) * 64 * 9 == pytest.approx(2, rel=0.03)

"""Vision transformers at other sizes, against those that timm builds for any size."""
import copy
from functools import cache

import pytest
import timm
import torch

from autotricks.nn.image_size import open_to_sizes, patch_size

SIDE = {"vit_tiny_patch16_224": 32, "deit3_small_patch16_224": 32, "swin_tiny_patch4_window7_224": 56,
        "swinv2_tiny_window8_256": 64}


def made(name, side, **options):
    torch.manual_seed(0)
    patch = {"patch_size": 8} if "patch16" in name else {}
    return timm.create_model(name, pretrained=False, num_classes=3, img_size=side, **patch, **options).eval()


@cache
def opened(name):
    model = made(name, SIDE[name])
    open_to_sizes(model)
    return model


def images(height, width):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SIDE)
def test_at_its_own_size_a_model_says_what_it_said(name):
    side = SIDE[name]
    strict = made(name, side)
    given = images(side, side)
    with torch.no_grad():
        assert torch.equal(opened(name)(given), strict(given))
        with pytest.raises(AssertionError, match="doesn't match model"):
            strict(images(side + 8, side))
    assert opened(name).state_dict().keys() == strict.state_dict().keys()


@pytest.mark.parametrize("name", SIDE)
def test_at_other_sizes_it_says_what_timms_model_for_any_size_says(name):
    side = SIDE[name]
    word = "strict_img_size" if name.startswith("swin") else "dynamic_img_size"
    theirs = made(name, side, **{word: word == "dynamic_img_size"})
    for height, width in ((side * 3 // 2, side * 3 // 2), (side // 2, side), (side + 8, side + 16)):
        with torch.no_grad():
            assert torch.equal(opened(name)(images(height, width)), theirs(images(height, width))), (height, width)


def test_a_vit_says_what_one_of_that_size_with_a_resampled_table_says():
    model = made("vit_tiny_patch16_224", 32)
    with torch.no_grad():
        model.pos_embed.normal_()
    larger = copy.deepcopy(model)
    larger.set_input_size(48)           # timm's own: 6 x 6 positions from 4 x 4
    open_to_sizes(model)
    assert larger.pos_embed.shape[1] == 37 and model.pos_embed.shape[1] == 17
    with torch.no_grad():
        assert torch.allclose(model(images(48, 48)), larger(images(48, 48)), atol=1e-6)


def test_the_table_learns_at_other_sizes():
    model = made("vit_tiny_patch16_224", 32)
    open_to_sizes(model)
    model(images(16, 48)).sum().backward()
    assert model.pos_embed.grad.shape == (1, 17, 192) and bool((model.pos_embed.grad.abs().sum(2) > 0).all())


@pytest.mark.parametrize(("name", "side"), [("eva02_tiny_patch14_224", 56), ("beit_base_patch16_224", 64)])
def test_others_stay_at_one_size(name, side):
    model = timm.create_model(name, pretrained=False, num_classes=3, img_size=side, depth=1)
    open_to_sizes(model)
    assert model.patch_embed.strict_img_size


def test_a_size_of_no_whole_patches_stays_the_only_one():
    model = made("vit_tiny_patch16_224", 36)
    open_to_sizes(model)
    assert model(images(36, 36)).shape == (2, 3) and model.patch_embed.strict_img_size


def test_patches():
    assert patch_size(opened("vit_tiny_patch16_224")) == (8, 8)
    assert patch_size(opened("swin_tiny_patch4_window7_224")) == (4, 4)
    assert patch_size(torch.nn.Linear(1, 1)) == (1, 1)
    pyramid = timm.create_model("pvt_v2_b0", pretrained=False)      # whose patches overlap
    assert patch_size(pyramid) == (1, 1)

"""Weights of transformers at another image size or patch size: as timm's and torchvision's own loaders have them."""
import pytest
import timm
import torch
from torch import nn
from torchvision.models import VisionTransformer

from autotricks.core.bundle import Bundle
from autotricks.core.weights import Weights
from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.nn.pretrained import begin_with, fitted
from autotricks.trial import run_trial
from tests.conftest import make_dataset

VIT = "patch_size=8&embed_dim=24&depth=1&num_heads=2"
SWIN = "patch_size=2&embed_dim=12&depths=(1,1)&num_heads=(1,2)"
SMALL = {
    "vit": (f"vit_tiny_patch16_224?{VIT}", f"vit_tiny_patch16_224?{VIT}", 48, 32),
    "vit, smaller patches": (f"vit_tiny_patch16_224?{VIT}",
                             f"vit_tiny_patch16_224?{VIT.replace('patch_size=8', 'patch_size=4')}", 48, 32),
    "registers, DINOv2": (f"vit_small_patch14_reg4_dinov2?{VIT.replace('8', '14', 1)}",
                          f"vit_small_patch14_reg4_dinov2?{VIT.replace('8', '14', 1)}", 56, 42),
    "deit, distilled": (f"deit_tiny_distilled_patch16_224?{VIT}", f"deit_tiny_distilled_patch16_224?{VIT}", 48, 32),
    "swin": (f"swin_tiny_patch4_window7_224?{SWIN}&window_size=8", f"swin_tiny_patch4_window7_224?{SWIN}&window_size=4",
             32, 16),
    "eva": (f"eva02_tiny_patch14_224?{VIT}", f"eva02_tiny_patch14_224?{VIT}", 48, 32),
    "beit": (f"beit_base_patch16_224?{VIT}", f"beit_base_patch16_224?{VIT}", 48, 32),
}


def resized(name, old, size, classes, held, folder):
    """Return what timm's own loader makes of weights for images of another size."""
    architecture, _, options = name.partition("?")
    torch.save(held, folder / "weights.pth")
    return timm.create_model(architecture, pretrained=True, num_classes=classes, img_size=size,
                             pretrained_cfg_overlay={"file": str(folder / "weights.pth"), "num_classes": classes},
                             **build_options(options))


def build_options(options):
    from autotricks.models.names import parse

    return dict(parse(f"timm:any?{options}").arguments)


@pytest.mark.parametrize("kind", SMALL)
def test_tables_are_as_timms_loader_has_them(kind, tmp_path):
    before, after, old, size = SMALL[kind]
    torch.manual_seed(0)
    held = build(f"timm:{before}", 6, 3, size=(old, old)).state_dict()
    held = {name: torch.randn_like(value) if value.is_floating_point() else value for name, value in held.items()}
    theirs = resized(after, old, size, 6, dict(held), tmp_path)
    ours = begin_with(build(f"timm:{after}", 6, 3, size=(size, size)), Weights("x", held), 6)
    found = ours.state_dict()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(found[name], value, msg=lambda text, name=name: f"{name}: {text}")
    changed = [name for name, value in held.items() if value.shape != found[name].shape]
    assert bool(changed) == (kind != "eva" or "pos_embed" in found), "otherwise nothing was to be resampled"
    begun = fitted(build(f"timm:{after}", 9, 1, size=(size, size)), held, 9, "x")    # other classes, gray images
    assert held.keys() - begun.keys() and all("head" in name for name in held.keys() - begun.keys())


def vision_transformer(size, classes=6):
    return VisionTransformer(size, 8, 1, 2, 24, 32, num_classes=classes)


def test_tables_of_torchvision_are_resampled_at_their_corners():
    held = {name: torch.randn_like(value) for name, value in vision_transformer(48).state_dict().items()}
    found = begin_with(vision_transformer(32), Weights("x", held), 6).state_dict()["encoder.pos_embedding"]
    before = held["encoder.pos_embedding"]
    grid = before[0, 1:].T.reshape(1, 24, 6, 6)
    after = nn.functional.interpolate(grid, 4, mode="bicubic", align_corners=True).reshape(24, 16).T
    torch.testing.assert_close(found[0, 1:], after)
    assert torch.equal(found[0, 0], before[0, 0])
    torch.testing.assert_close(found[0, [1, 4, 13, 16]], before[0, [1, 6, 31, 36]])


def test_weights_of_another_kind_are_refused():
    with pytest.raises(ModelError, match=r"not weights of VisionTransformer\. Names in the file look like stem"):
        fitted(vision_transformer(32), build("resnet8", 6, 3).state_dict(), 6, "x")


@pytest.mark.parametrize(("model", "side", "said"), [
    ("timm:test_vit", 40, "Input height (40) should be divisible by patch size (16)"),
    (f"timm:vit_tiny_patch16_224?{VIT}&img_size=64", 32, "Input height (32) doesn't match model (64)"),
    ("torchvision:vit_b_16", 40, "Input shape indivisible by patch size!"),
    ("timm:test_vit?depth=x", 32, "cannot be built"),
    ("timm:test_vit?width=3", 32, "width")])
def test_a_size_that_the_model_cannot_take_is_a_line(model, side, said):
    with pytest.raises(ModelError) as error:
        run_trial(Bundle(model=model, epochs=1, batch_size=16), make_dataset(size=side, channels=3))
    line, = error.value.problems
    assert said in line and f"for images of {side}x{side} pixels: " in line and ".." not in line
    assert line.endswith("Set data.size, or the model's arguments, to what it takes.")


def test_images_that_are_not_square():
    model = build(f"timm:vit_tiny_patch16_224?{VIT}", 6, 3, size=(32, 48))
    assert model.pos_embed.shape == (1, 1 + 4 * 6, 24)
    with pytest.raises(ModelError, match=r"takes square images, these have 32x48 pixels\. Set data\.size\."):
        build("torchvision:vit_b_16", 6, 3, size=(32, 48))

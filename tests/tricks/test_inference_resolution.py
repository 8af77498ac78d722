import pytest
import timm
import torch
from torch.nn.functional import interpolate

from autotricks.core.bundle import Bundle
from autotricks.errors import BundleError, ModelError
from autotricks.trial import prepare
from autotricks.tricks.catalog import make
from autotricks.tricks.predict.inference_resolution import InferenceResolution
from tests.conftest import make_run
from tests.tricks.test_multi_scale import flexible


def test_predicts_from_images_of_another_size():
    run, images = flexible((2, 16, 8)), torch.randn(5, 2, 16, 8, generator=torch.Generator().manual_seed(0))
    predict = InferenceResolution(scale=1.25).predict(lambda given: given, run)
    assert torch.allclose(predict(images), interpolate(images, (20, 10), mode="bilinear", antialias=True))
    assert InferenceResolution(scale=1.0).predict(lambda given: given, run)(images) is images


def test_training_is_as_without_it(dataset):
    """One epoch: the same weights and loss, other figures of validation."""
    found = []
    for uses in ((), (make("inference_resolution", {"scale": 1.5}),)):
        trainer = prepare(Bundle(uses, epochs=1, batch_size=16), dataset)
        found.append((next(trainer.epochs()).values, trainer.evaluated.state_dict()))
    (plain, weights), (other, again) = found
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert plain["train/loss"] == other["train/loss"] and plain["val/loss"] != other["val/loss"]


def test_a_model_of_one_size_is_refused():
    with pytest.raises(ModelError, match=r"^inference_resolution: Sequential cannot take images of 5 x 5: .* or drop "):
        InferenceResolution(scale=1.25).predict(lambda given: given, make_run())


def vit(**options):
    torch.manual_seed(0)
    options |= {"num_classes": 3, "img_size": 32, "patch_size": 8, "depth": 2}
    return timm.create_model("vit_tiny_patch16_224", **options).eval()


@pytest.mark.parametrize(("scale", "side"), [(1.5, 48), (1.125, 40), (0.75, 24)])     # 36 pixels are 4.5 patches
def test_a_vision_transformer_predicts_from_whole_patches_with_its_positions_resampled(scale, side):
    run, images = make_run(image_shape=(3, 32, 32)), torch.randn(2, 3, 32, 32)
    run.model = vit()
    predict = InferenceResolution(scale=scale).predict(run.model, run)
    enlarged = interpolate(images, (side, side), mode="bilinear", antialias=True)
    with torch.no_grad():
        assert torch.equal(predict(images), vit(dynamic_img_size=True)(enlarged))
        assert torch.equal(run.model(images), vit()(images))


def test_a_model_of_one_size_is_refused_before_the_first_step():
    with pytest.raises(ModelError, match=r"^inference_resolution: Sequential cannot take images of 5 x 5: .* or drop "):
        InferenceResolution(scale=1.25).check(make_run())
    run = make_run(image_shape=(3, 64, 64))
    run.model = timm.create_model("mixer_s32_224", num_classes=3, img_size=64)
    with pytest.raises(ModelError, match=r"MlpMixer cannot take images of 80 x 80: Input height \(80\) doesn't match"):
        InferenceResolution(scale=1.25).check(run)


def test_refuses_a_scale_of_nothing():
    with pytest.raises(BundleError, match=r"inference_resolution\.scale: 0 is not allowed; scale must be > 0 \(times"):
        InferenceResolution(scale=0)

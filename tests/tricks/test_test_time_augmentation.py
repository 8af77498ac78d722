from itertools import product

import pytest
import timm
import torch
from torch.nn.functional import interpolate
from torchvision.transforms.v2.functional import five_crop, horizontal_flip, resize, ten_crop

from autotricks.core.bundle import Bundle
from autotricks.errors import BundleError, ModelError
from autotricks.export.graph import captured, write_onnx, write_pt2
from autotricks.export.pixels import Pixels
from autotricks.tasks.detection import DETECTION
from autotricks.trial import prepare
from autotricks.tricks.catalog import make
from tests.conftest import make_run
from tests.tricks.exported import handed_over
from tests.tricks.test_multi_scale import flexible

NAME = "test_time_augmentation"


def predicting(inner, run, **values):
    return make(NAME, values).trick.predict(inner, run)


def left_and_right(images):
    """The darkness of the two halves of an image, which a mirror swaps: [B, 2]."""
    width = images.shape[-1] // 2
    return torch.stack([images[..., :width].mean((1, 2, 3)), images[..., width:].mean((1, 2, 3))], 1)


def test_one_view_is_the_image():
    seen = []
    images = torch.rand(2, 2, 4, 4)
    found = predicting(lambda given: seen.append(given) or left_and_right(given), make_run(), flip=False)(images)
    assert [given.data_ptr() for given in seen] == [images.data_ptr()] and torch.equal(found, left_and_right(images))


def test_both_views_of_what_a_mirror_swaps_are_its_mean():
    images = torch.zeros(1, 2, 4, 4)
    images[..., 3:] = 1                     # half of the right half
    assert predicting(left_and_right, make_run())(images).tolist() == [[0.25, 0.25]]


def test_a_model_that_a_mirror_does_not_change_says_the_same():
    images = torch.rand(3, 2, 4, 4)
    whole = predicting(lambda given: given.mean((2, 3)), make_run())(images)
    assert torch.allclose(whole, images.mean((2, 3)), atol=1e-6)


def test_five_crops_and_their_mirror_images_are_torchvisions_ten():
    side = 28                               # of 32
    images = torch.rand(2, 2, side, side)
    theirs = ten_crop(resize(images, [32, 32], antialias=True), [side, side])
    seen = []
    predicting(lambda given: seen.append(given) or left_and_right(given), make_run(image_shape=(2, side, side)),
               crops=5)(images)
    assert len(seen) == 10
    for view in theirs:
        assert min(float((view - own).abs().max()) for own in seen) < 1e-6


def test_all_views_are_those_of_a_loop():
    side = 56
    run = flexible((2, side, side))
    images = torch.rand(2, 2, side, side)
    outputs = []
    for size, mirrored in product((56, 49, 63), (False, True)):
        for view in five_crop(resize(images, [size * 8 // 7] * 2, antialias=True), [size, size]):
            outputs.append(left_and_right(horizontal_flip(view) if mirrored else view))
    assert len(outputs) == 30
    found = predicting(left_and_right, run, crops=5, scales=3)(images)
    assert torch.allclose(found, sum(outputs) / 30, atol=1e-6)


def test_mean_of_logits_is_the_geometric_mean_of_probabilities_unless_asked_otherwise():
    odds = torch.tensor([[3.0, 1.0], [1.0, 1.0]])       # of the image and of its mirror image

    def inner(images):
        return odds[(images[:, 0, 0, 0] > 0.5).long()].log()
    images = torch.zeros(1, 2, 4, 4)
    images[..., -1] = 1
    logits = predicting(inner, make_run())(images)
    assert logits.softmax(1)[0, 0] == pytest.approx(3 ** 0.5 / (3 ** 0.5 + 1))
    logits = predicting(inner, make_run(), averaged="probabilities")(images)
    assert logits.softmax(1).tolist() == [pytest.approx([(0.75 + 0.5) / 2, (0.25 + 0.5) / 2])]


def test_a_class_that_no_view_believes_in_stays_finite():
    run = make_run()
    assert torch.isfinite(run.task.encode(torch.tensor([[1.0, 0.0]]))).all()


def test_training_is_as_without_it(dataset):
    """One epoch: the same weights and loss, other figures of validation."""
    found = []
    for uses in ((), (make(NAME, {}),)):
        trainer = prepare(Bundle(uses, epochs=1, batch_size=16), dataset)
        found.append((next(trainer.epochs()).values, trainer.evaluated.state_dict()))
    (plain, weights), (other, again) = found
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert plain["train/loss"] == other["train/loss"] and plain["val/loss"] != other["val/loss"]


ALL = {"crops": 5, "scales": 3, "averaged": "probabilities"}     # thirty views


@pytest.mark.parametrize("write", [write_pt2, pytest.param(write_onnx, marks=pytest.mark.slow)])
def test_graphs_for_production_have_all_views(tmp_path, write):
    run = flexible((2, 14, 14))
    run.model.eval()
    pixels = Pixels(run.model, predicting(run.model, run, **ALL), run.task.decode, run.mean, run.std)
    images = torch.randint(0, 256, (5, 2, 14, 14), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    with torch.no_grad():
        told = pixels(images)
    found = torch.from_numpy(write(captured(pixels, run.image_shape), tmp_path / "graph")(images.numpy()))
    assert torch.allclose(found, told, atol=1e-5)
    assert not torch.allclose(told, run.task.decode(run.model(run.normalize(images))), atol=1e-3)


@pytest.mark.slow
def test_a_finished_bundle_predicts_with_its_views(tmp_path):
    handed_over({NAME: ALL, "prior_removal": {}}, tmp_path)


def test_a_vision_transformer_sees_whole_patches():
    run, images = make_run(image_shape=(3, 32, 32)), torch.randn(2, 3, 32, 32)
    torch.manual_seed(0)
    options = {"num_classes": 3, "img_size": 32, "patch_size": 4, "depth": 2}
    run.model = timm.create_model("vit_tiny_patch16_224", **options).eval()
    predict = predicting(run.model, run, flip=False, scales=3)
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", dynamic_img_size=True, **options).eval()
    with torch.no_grad():
        views = [model(interpolate(images, (side, side), mode="bilinear", antialias=True)) for side in (28, 32, 36)]
        assert torch.allclose(predict(images), sum(views) / 3, atol=1e-5)


def test_a_model_of_one_size_takes_crops_and_no_scales():
    make(NAME, {"crops": 5}).trick.check(make_run())
    with pytest.raises(ModelError, match=r"^test_time_augmentation: Sequential cannot take images of "):
        make(NAME, {"scales": 3}).trick.check(make_run(image_shape=(2, 8, 8)))


def test_boxes_cannot_be_averaged():
    run = make_run()
    run.task = DETECTION
    make(NAME, {}).trick.check(run)
    with pytest.raises(BundleError, match=r"test_time_augmentation\.averaged: boxes .* have no mean\. Take logits"):
        make(NAME, {"averaged": "probabilities"}).trick.check(run)


def test_refuses_other_numbers_of_crops():
    with pytest.raises(BundleError, match=r"test_time_augmentation\.crops: 3 is not allowed; crops must be 1 or 5"):
        make(NAME, {"crops": 3})

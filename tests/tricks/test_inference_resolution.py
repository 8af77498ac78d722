import pytest
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


def test_refuses_a_scale_of_nothing():
    with pytest.raises(BundleError, match=r"inference_resolution\.scale: 0 is not allowed; scale must be > 0 \(times"):
        InferenceResolution(scale=0)

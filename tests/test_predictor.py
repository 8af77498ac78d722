import numpy as np
import pytest
import torch

from autotricks import export
from autotricks.core.bundle import Bundle
from autotricks.errors import DataError, RunError
from autotricks.inference.predictor import Predictor
from autotricks.trial import run_trial
from autotricks.tricks.catalog import make
from autotricks.workflows.export import preprocessing


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    """A bundle with averaged weights, trained and written, and what came of it."""
    folder = tmp_path_factory.mktemp("trained")
    bundle = Bundle((make("sgd", {"lr": 0.05}), make("ema", {"decay": 0.9})), epochs=3, batch_size=16)
    result = run_trial(bundle, dataset)
    document = {"name": "x", "classes": list(dataset.classes), **bundle.document(), "result": {},
                "images": {"shape": list(dataset.image_shape), "mean": list(dataset.mean), "std": list(dataset.std)}}
    export.write(folder, document, export.weights_of(result.model))
    return folder, result


def pictures(split) -> np.ndarray:
    return split.images.permute(0, 2, 3, 1).numpy()


def test_predictions_have_the_figures_of_the_training(trained, dataset):
    folder, result = trained
    predictor = Predictor.load(folder)
    probabilities = predictor.predict(pictures(dataset.validation))
    labels = dataset.validation.targets.single.numpy()
    assert predictor.classes == ["a", "b", "c", "d"] and predictor.shape == (1, 8, 8)
    assert probabilities.shape == (40, 4) and probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert (probabilities.argmax(1) == labels).mean() == pytest.approx(result.metrics["val/accuracy"], abs=1e-6)
    loss = -np.log(probabilities[np.arange(40), labels]).mean()
    assert loss == pytest.approx(result.metrics["val/loss"], rel=1e-6)


def test_classes_stay_in_the_order_of_their_probabilities(trained):
    """As the data number them, whole numbers by value: not in the order of letters."""
    folder, names = trained[0], ["2", "10", "b", "a"]
    document, weights = export.bundle.read(folder / export.BUNDLE), export.read_weights(folder / export.WEIGHTS)
    assert Predictor({**document, "classes": names}, weights).classes == names


def test_the_module_for_production_predicts_from_pixels(trained, dataset):
    predictor = Predictor.load(trained[0])
    expected = predictor.predict(pictures(dataset.validation))
    with torch.inference_mode():
        found = predictor.pixels()(dataset.validation.images)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_preprocessing_says_what_the_data_had(trained, dataset):
    assert preprocessing(Predictor.load(trained[0]), {})["inside the graph"] == {
        "scale": "divided by 255", "mean": list(dataset.mean), "std": list(dataset.std),
        "order": "(images / 255 - mean) / std"}


def test_images_may_come_without_channel(trained, dataset):
    predictor, images = Predictor.load(trained[0]), pictures(dataset.validation)
    expected = predictor.predict(images)
    np.testing.assert_array_equal(predictor.predict(images[..., 0]), expected)
    np.testing.assert_array_equal(predictor.predict(np.asfortranarray(images)), expected)
    np.testing.assert_allclose(predictor.predict(images[:1]), expected[:1], rtol=1e-5)
    assert predictor.predict(images[:0]).shape == (0, 4)
    many = predictor.predict(np.concatenate([images] * 8))     # more than one piece
    np.testing.assert_allclose(many, np.concatenate([expected] * 8), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("images", [np.zeros((2, 8, 9, 1), np.uint8), np.zeros((2, 8, 8, 3), np.uint8),
                                    np.zeros((8, 8), np.uint8), np.zeros((2, 8, 8, 1), np.float32)])
def test_other_images_are_refused(trained, images):
    with pytest.raises(DataError, match=r"expected uint8 of shape \(N, 8, 8, 1\)"):
        Predictor.load(trained[0]).predict(images)


@pytest.mark.parametrize(("name", "content", "words"), [
    (export.BUNDLE, None, "cannot be read"), (export.BUNDLE, b"a: [", "champion.yaml:2:1  not valid YAML"),
    (export.BUNDLE, b"- 1", "not a trained bundle"), (export.BUNDLE, b"tricks: {}", "not a trained bundle"),
    (export.WEIGHTS, None, "no such file"), (export.WEIGHTS, b"x", "cannot be read")])
def test_damaged_folder_is_one_clear_line(trained, tmp_path, name, content, words):
    export.copy(trained[0], tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RunError, match=words) as caught:
        Predictor.load(tmp_path)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_weights_of_another_training_are_refused(trained, tmp_path):
    export.copy(trained[0], tmp_path)
    weights = {name: value + 1 if value.is_floating_point() else value
               for name, value in export.read_weights(tmp_path / export.WEIGHTS).items()}
    from safetensors.torch import save

    (tmp_path / export.WEIGHTS).write_bytes(save(weights))
    with pytest.raises(RunError, match="its checksum differs"):
        Predictor.load(tmp_path)


def test_averaged_weights_are_the_ones_exported(trained):
    folder, result = trained
    assert all(torch.equal(value, result.model.state_dict()[name])
               for name, value in export.read_weights(folder / export.WEIGHTS).items())

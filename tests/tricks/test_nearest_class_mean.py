import numpy as np
import pytest
import torch

from autotricks import export
from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError
from autotricks.inference.predictor import Predictor
from autotricks.models import build
from autotricks.trial import prepare, run_trial
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.catalog import make
from autotricks.tricks.model.cosine_head import CosineHead
from autotricks.tricks.predict.nearest_class_mean import NearestClassMean, class_means, first_rows
from autotricks.tricks.predict.tau_normalization import TauNormalization
from tests.conftest import make_dataset, make_run
from tests.tricks.compared import without_and_with


def unit(rows):
    return rows / rows.norm(dim=1, keepdim=True)


def prediction(run, **settings):
    """Fold both slots over the run's model; what goes into its classifier is the normalized image, flattened."""
    trick = NearestClassMean(**settings)
    run.model = trick.model(run.model, run)
    return trick.predict(run.model, run)


def expected(run, images, rows, centered):
    """The negative squared distances in units of the spread, class by class."""
    given, labels = run.normalize(run.images[rows]).flatten(1), run.targets.single[rows]
    center = given.mean(0) if centered else 0
    units, means = unit(given - center), []
    for label in range(3):
        means.append(units[labels == label].mean(0))
    spread = sum(float((one - means[label]).square().sum()) for one, label in zip(units, labels, strict=True))
    shown = unit(images.flatten(1) - center)
    return -torch.stack([(shown - mean).square().sum(1) for mean in means], 1) / (spread / len(rows))


def test_first_rows_by_hand():
    labels = torch.tensor([2, 0, 2, 2, 0, 1, 2])
    assert first_rows(labels, torch.tensor([2., 1., 4.]), 2).tolist() == [1, 4, 5, 0, 2]
    assert first_rows(labels, torch.tensor([2., 1., 4.]), 9).tolist() == [1, 4, 5, 0, 2, 3, 6]


def test_means_and_spread_by_hand():
    units = torch.tensor([[1., 0.], [0., 1.], [.6, .8]])
    means, spread = class_means(units, torch.tensor([0, 0, 2]), 3)
    assert means[0].tolist() == [.5, .5] and torch.equal(means[2], units[2])
    assert float(spread) == pytest.approx((.5 + .5 + 0) / 3)


def test_a_class_without_images_is_never_nearest():
    run = make_run(counts=(6, 3, 0))
    predict = prediction(run)
    images = torch.randn(2000, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    towards = torch.ones(1, 2, 4, 4) * torch.tensor([[.1], [10.]]).view(2, 1, 1, 1)
    logits = predict(torch.cat([images, towards]))
    assert logits.isfinite().all() and 0 < int((logits.argmax(1) == 1).sum()) < 2000
    assert (logits[:, 2] < logits[:, :2].min(1).values).all()


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("shots", "rows"), [(100, list(range(10))), (2, [0, 1, 6, 7, 9])])
def test_logits_are_distances_spelled_out(centered, shots, rows):
    run = make_run()
    images = torch.randn(7, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    found = prediction(run, shots=shots, centered=centered)(images)
    assert torch.allclose(found, expected(run, images, rows, centered), rtol=1e-4, atol=1e-4)


def test_more_images_than_go_through_at_once():
    run, images = make_run(counts=(400, 200, 30)), torch.randn(5, 2, 4, 4)
    found = prediction(run, shots=300)(images)
    rows = [*range(300), *range(400, 600), *range(600, 630)]
    assert torch.allclose(found, expected(run, images, rows, True), rtol=1e-4, atol=1e-4)


def test_one_image_a_class_has_no_spread():
    logits = prediction(make_run(), shots=1)(torch.randn(5, 2, 4, 4))
    assert logits.isfinite().all() and float(logits.min()) >= -4 / 0.01 - 1e-3


def test_means_are_those_of_evaluation_and_leave_batch_norm_alone():
    run = make_run(counts=(9, 6, 5), image_shape=(1, 8, 8))
    run.model = build("resnet8", 3, 1)
    trick = NearestClassMean()
    model = trick.model(run.model, run).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trick.predict(model, run)
    noted = model.class_means.means.clone()
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["class_means.means", "class_means.center", "class_means.spread"]
    with torch.no_grad():
        given = model.eval().pool(model.forward_features(run.normalize(run.images))).flatten(1)
    units = unit(given - given.mean(0))
    expected = torch.stack([units[run.targets.single == label].mean(0) for label in range(3)])
    assert torch.allclose(noted, expected, atol=1e-5)


def test_without_training_images_what_was_noted_counts():
    run, blank = make_run(), make_run(seed=1)
    taken, images = prediction(run), torch.randn(5, 2, 4, 4)
    blank.model = NearestClassMean().model(blank.model, blank)
    blank.model.load_state_dict(run.model.state_dict())
    blank.images, blank.targets, blank.counts = blank.images[:0], blank.targets[:0], torch.zeros(3)
    found = NearestClassMean().predict(blank.model, blank)(images)
    assert torch.equal(found, taken(images)) and float(found.std()) > 0


@pytest.mark.parametrize("other", [(), (Ema(),), (CosineHead(),)])
def test_trains_as_without_it_and_is_evaluated_with_it(other):
    data = make_dataset()
    (plain, before), (ours, after) = without_and_with(NearestClassMean(), other, data)
    state = ours.evaluated.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.evaluated.state_dict().items())
    assert before["train/loss"] == after["train/loss"]
    model = plain.evaluated.eval()
    with torch.no_grad():
        given, shown = (model.pool(model.forward_features(plain.run.normalize(split.images))).flatten(1)
                        for split in (data.train, data.validation))
    units, shown = unit(given - given.mean(0)), unit(shown - given.mean(0))
    means = torch.stack([units[data.train.targets.single == label].mean(0) for label in range(4)])
    hits = torch.cdist(shown, means).argmin(1) == data.validation.targets.single
    assert after["val/accuracy"] == pytest.approx(float(hits.float().mean()), abs=1e-6)


@pytest.mark.parametrize("more", [(), (("ema", {"decay": 0.9}),)])
def test_what_is_exported_predicts_as_in_training(dataset, tmp_path, more):
    bundle = Bundle((make("nearest_class_mean", {"shots": 20}), *(make(*each) for each in more)), epochs=3,
                    batch_size=16)
    result = run_trial(bundle, dataset)
    document = {"name": "x", "classes": list(dataset.classes), **bundle.document(), "result": {},
                "images": {"shape": list(dataset.image_shape), "mean": list(dataset.mean), "std": list(dataset.std)}}
    export.write(tmp_path, document, export.weights_of(result.model))
    images = dataset.validation.images.permute(0, 2, 3, 1).numpy()
    found, labels = Predictor.load(tmp_path).predict(images), dataset.validation.targets.single.numpy()
    assert result.metrics["val/accuracy"] == pytest.approx((found.argmax(1) == labels).mean(), abs=1e-6)
    assert result.metrics["val/loss"] == pytest.approx(-np.log(found[np.arange(40), labels]).mean(), rel=1e-6)
    trainer = prepare(bundle, dataset)
    list(trainer.epochs())
    predict = NearestClassMean(shots=20).predict(trainer.evaluated, trainer.run)
    with torch.inference_mode():
        expected = predict(trainer.run.normalize(dataset.validation.images)).softmax(1)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-7)


def test_takes_the_seat_of_the_classifier_and_wraps_a_model():
    assert len(problems([Use(NearestClassMean()), Use(TauNormalization())])) == 1
    with pytest.raises(TypeError, match="it wraps the model"):
        NearestClassMean().predict(lambda images: images, make_run())


@pytest.mark.parametrize(("shots", "said"), [(0, "shots must be >= 1"), (1.5, "is not a whole number")])
def test_refuses_no_images_of_a_class(shots, said):
    with pytest.raises(BundleError, match=rf"nearest_class_mean\.shots: .*{said}"):
        NearestClassMean(shots=shots)

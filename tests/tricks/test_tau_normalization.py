import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.models import build
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.predict.tau_normalization import TauNormalization, shortened
from tests.conftest import make_run


def test_rows_are_divided_by_a_power_of_their_length():
    weight = torch.tensor([[3., 4.], [0., 0.25], [0., 0.]])  # lengths 5, 1/4 and 0
    assert torch.equal(shortened(weight, 0.0), weight)
    assert torch.allclose(shortened(weight, 1.0), torch.tensor([[.6, .8], [0., 1.], [0., 0.]]))
    assert torch.allclose(shortened(weight, 0.5), torch.tensor([[3 / 5**.5, 4 / 5**.5], [0., 0.5], [0., 0.]]))
    assert torch.allclose(shortened(weight, 2.0), torch.tensor([[.12, .16], [0., 4.], [0., 0.]]))


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logits_are_scaled_and_the_bias_is_not(tau):
    run, generator = make_run(), torch.Generator().manual_seed(0)
    images, linear = torch.randn(5, 2, 4, 4, generator=generator), run.model[1]
    logits = TauNormalization(tau=tau).predict(run.model, run)(images)
    lengths = linear.weight.square().sum(1).sqrt()
    assert torch.allclose(logits, (run.model(images) - linear.bias) / lengths**tau + linear.bias, atol=1e-6)


def test_without_tau_nothing_changes():
    model, run = build("resnet8", 3, 2).eval(), make_run()
    images = torch.randn(5, 2, 4, 4)
    assert torch.equal(TauNormalization(tau=0.0).predict(model, run)(images), model(images))


def test_leaves_the_model_alone():
    run = make_run()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    TauNormalization(tau=1.0).predict(run.model, run)(torch.randn(5, 2, 4, 4))
    after = run.model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_a_frequent_class_with_a_long_vector_loses_its_lead():
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    model[0].weight.data = torch.tensor([[10., 0.], [0., 1.]])
    run, image = make_run(counts=(9, 1)), torch.tensor([[1., 2.]])
    assert model(image).tolist() == [[10.0, 2.0]]
    assert TauNormalization(tau=1.0).predict(model, run)(image).tolist() == [[1.0, 2.0]]


def test_evaluates_the_average_with_its_own_classifier(dataset):
    trainer = prepare(Bundle((Use(TauNormalization(tau=2.0)), Use(Ema(decay=0.9))), epochs=2, batch_size=16), dataset)
    *_, last = trainer.epochs()
    model = trainer.evaluated.eval()
    with torch.no_grad():
        images = (dataset.validation.images.float() / 255 - trainer.run.mean) / trainer.run.std
        head = model.head
        logits = (model(images) - head.bias) / head.weight.square().sum(1) + head.bias
        expected = nn.functional.cross_entropy(logits, dataset.validation.targets.single)
    assert last.values["val/loss"] == pytest.approx(float(expected), rel=1e-5)


def test_refuses_cosine_heads_and_a_negative_exponent():
    assert Trait.COSINE_HEAD in TauNormalization.excludes
    with pytest.raises(BundleError, match=r"tau_normalization\.tau: -0\.5 is not allowed; tau must be >= 0 and <= 2"):
        TauNormalization(tau=-0.5)

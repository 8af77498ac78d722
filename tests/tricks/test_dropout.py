import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError
from autotricks.nn.classifier import classifier, features
from autotricks.trial import prepare
from autotricks.tricks.model.dropout import Dropout
from tests.conftest import built, make_dataset, make_run


@pytest.mark.parametrize("name", ["resnet8", "timm:test_convnext"])
def test_a_share_of_the_features_is_0_in_training_and_the_mean_stays(name):
    torch.manual_seed(0)
    model, images = built(name, 5, 3).eval(), torch.rand(1, 3, 32, 32).expand(500, 3, 32, 32)
    head = model.get_submodule(classifier(model, 5))
    plain = features(model, head, images[:1])[1]
    model = Dropout(0.3).model(model, make_run(counts=(5, 4, 3, 2, 1)))
    assert torch.equal(features(model, head, images[:1])[1], plain)
    for module in model.modules():
        module.training = isinstance(module, torch.nn.Dropout) and module.p == 0.3
    given = features(model, head, images)[1]
    live = plain[0] != 0
    assert (given[:, live] == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    kept = given[:, live] != 0
    assert torch.allclose(given[:, live][kept], (plain[:, live] / 0.7).expand(500, -1)[kept], rtol=1e-4, atol=1e-6)
    deviation = plain.abs() * (0.3 / 0.7 / 500) ** 0.5  # of the mean of 500
    assert ((given.mean(0) - plain).abs() <= 5 * deviation + 1e-6).all()


def test_with_probability_0_nothing_changes():
    weights = []
    for uses in ((), (Use(Dropout(0.0)),)):
        trainer = prepare(Bundle(uses, epochs=1, batch_size=16), make_dataset())
        next(trainer.epochs())
        weights.append(trainer.run.model.state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_learns():
    trainer = prepare(Bundle((Use(Dropout(0.5)),), epochs=6, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9


def test_to_drop_all_is_refused():
    with pytest.raises(BundleError, match=r"dropout\.p: 1\.0 is not allowed; p must be >= 0 and < 1"):
        Dropout(1.0)

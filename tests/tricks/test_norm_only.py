import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.trial import prepare
from autotricks.tricks.gradients.norm_only import NormOnly, norm_weights
from autotricks.tricks.model.bnneck import Bnneck
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import built, make_dataset, make_run
from tests.tricks.frozen import moved, slopes, trainer


def count(model):
    return sum(model.get_parameter(name).numel() for name in norm_weights(model))


@pytest.mark.parametrize("depth", [8, 20])
def test_two_weights_for_each_channel(depth):
    blocks = (depth - 2) // 6
    assert count(build(f"resnet{depth}", 4, 1)) == 2 * (16 + 2 * blocks * (16 + 32 + 64))


@pytest.mark.parametrize(("name", "word"), [("timm:test_vit", "norm"), ("timm:test_convnext", "norm"),
                                            ("torchvision:resnet18", "bn"), ("timm:test_efficientnet_gn", "bn")])
def test_norms_of_other_models_are_what_is_called_one(name, word):
    model = built(name, 5, 3)
    named = {key for key, weight in model.named_parameters() if word in key and weight.ndim == 1}
    missing = named - norm_weights(model)
    assert not missing and len(named) > 5
    assert all(model.get_parameter(key).ndim == 1 for key in norm_weights(model))


def test_norms_of_other_kinds_and_what_only_holds_one():
    class PreNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.inner = nn.RMSNorm(3), nn.Linear(3, 3)
    assert norm_weights(nn.Sequential(PreNorm(), nn.LayerNorm(3), nn.BatchNorm1d(3, affine=False))) == {
        "0.norm.weight", "1.weight", "1.bias"}
    assert norm_weights(nn.LayerNorm(3)) == {"weight", "bias"}


def test_norms_by_name_that_are_of_no_kind_of_torchs():
    class ScaleNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.g = nn.Parameter(torch.ones(1))
    assert norm_weights(nn.Sequential(nn.Linear(2, 2), ScaleNorm())) == {"1.g"}


def test_a_norm_without_weights_goes_on_moving_its_statistics():
    run = make_run()
    run.model = nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 3))
    NormOnly().enter(run)
    run.model(torch.randn(8, 2, 4, 4))
    assert run.model[2].training and int(run.model[2].num_batches_tracked) == 1
    assert [name for name, weight in run.model.named_parameters() if weight.requires_grad] == ["3.weight", "3.bias"]


def test_each_step_moves_norms_and_classifier_alone():
    made = trainer(NormOnly())
    expected = norm_weights(made.run.model) | {"head.weight", "head.bias"}
    statistics = {name for name, _ in made.run.model.named_buffers()}
    assert moved(made) == [(expected, statistics)] * 10     # the statistics go on moving


@pytest.mark.parametrize("model", ["resnet8", "timm:test_convnext"])
def test_their_gradients_are_those_of_plain_training(model):
    plain, ours = slopes(trainer(model=model)), slopes(trainer(NormOnly(), model=model))
    assert 10 < len(ours) < len(plain)
    assert all(torch.allclose(value, plain[name], rtol=1e-4, atol=1e-7) for name, value in ours.items())


def test_a_window_is_a_stage():
    seen = [len(weights) for weights, _ in moved(trainer(NormOnly(), window=Window(0.0, 0.5)))]
    assert seen == [16] * 5 + [23] * 5


def test_norms_that_other_tricks_bring_are_trained_and_random_features_learn():
    uses = tuple(map(Use, (NormOnly(), GroupNorm(), Bnneck(), Sgd(lr=0.1))))
    made = prepare(Bundle(uses, epochs=8, batch_size=16), make_dataset())
    first = {name: weight.detach().clone() for name, weight in made.run.model.named_parameters()}
    accuracy = [metrics.values["val/accuracy"] for metrics in made.epochs()][-1]
    changed = {name for name, weight in made.run.model.named_parameters() if not torch.equal(weight, first[name])}
    assert changed == norm_weights(made.run.model) | {"head.weight"} and "neck.weight" in changed
    assert accuracy > 0.8


def test_a_model_without_norms_is_one_clear_line():
    run = make_run()
    with pytest.raises(ModelError, match="norm_only: Sequential has no normalization layer with weights"):
        NormOnly().check(run)

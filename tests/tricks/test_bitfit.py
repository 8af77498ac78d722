import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.trial import prepare
from autotricks.tricks.gradients.bitfit import Bitfit, biases
from autotricks.tricks.optimizer.adam import Adam
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_dataset, make_run
from tests.tricks.frozen import moved, slopes, trainer


def test_biases_of_our_resnet_are_shifts_of_norms():
    found = biases(build("resnet8", 4, 1))
    assert found == {"bn.bias", "head.bias", *(
        f"layers.{place}.bn{number}.bias" for place in range(3) for number in (1, 2))}


def test_biases_of_transformers():
    found = biases(build("timm:test_vit", 5, 3))
    per_block = {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"}
    assert found == {"patch_embed.proj.bias", "norm.bias", "head.bias", *(
        f"blocks.{block}.{layer}.bias" for block in range(6) for layer in per_block)}
    attention = nn.MultiheadAttention(4, 2)
    assert biases(attention) == {"in_proj_bias", "out_proj.bias"}
    table = nn.Module()
    table.relative_position_bias_table = nn.Parameter(torch.ones(3))
    table.attention_bias = nn.Parameter(torch.ones(3, 3))
    assert biases(table) == set()


def test_each_step_moves_biases_and_classifier_alone():
    made = trainer(Bitfit())
    expected = biases(made.run.model) | {"head.weight"}
    assert moved(made) == [(expected, set())] * 10      # no statistics either


@pytest.mark.parametrize("model", ["timm:test_convnext", "timm:test_efficientnet_ln"])
def test_their_gradients_are_those_of_plain_training(model):
    plain, ours = slopes(trainer(model=model)), slopes(trainer(Bitfit(), model=model))
    names = {name for name in plain if name.endswith("bias")} | {name for name in plain if "head.fc.weight" in name or
                                                                 name == "classifier.weight"}
    assert ours.keys() == names and len(names) > 10
    assert all(torch.allclose(ours[name], plain[name], rtol=1e-4, atol=1e-7) for name in names)


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.05), Adam()])
def test_a_window_is_a_stage(optimizer):
    seen = [weights for weights, _ in moved(trainer(Bitfit(), optimizer, window=Window(0.5, 1.0)))]
    every = seen[0]
    assert len(every) == 23 and all(weights == every for weights in seen[:5])
    assert all(weights == {name for name in every if name.endswith("bias")} | {"head.weight"} for weights in seen[5:])
    seen = [weights for weights, _ in moved(trainer(Bitfit(), optimizer, window=Window(0.0, 0.5)))]
    assert [len(weights) for weights in seen] == [9] * 5 + [23] * 5


def test_a_model_without_biases_or_classifier_is_one_clear_line():
    run = make_run()
    run.model = nn.Sequential(nn.Flatten(), nn.Linear(32, 4, bias=False), nn.Linear(4, 3))
    with pytest.raises(ModelError, match="bitfit: Sequential has no bias below its classifier"):
        Bitfit().check(run)
    run.model = nn.Sequential(nn.Conv2d(2, 3, 1))
    with pytest.raises(ModelError, match="has no layer inside it"):
        Bitfit().check(run)


def test_needs_weights_worth_keeping():
    with pytest.raises(BundleError, match="bitfit requires a trick that provides pretrained"):
        prepare(Bundle((Use(Bitfit()),), model="resnet8", epochs=1, batch_size=16), make_dataset())

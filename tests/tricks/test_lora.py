import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.nn.fusing import fuse
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.model.lora import ADAPTERS, Lora, adapted
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.parameters.layer_decay import LayerDecay
from tests.conftest import built, make_run
from tests.tricks.exported import handed_over
from tests.tricks.frozen import moved, trainer

VIT = "timm:test_vit"


def changed(model, **values):
    return Lora(**values).model(model, make_run(counts=(1,) * 5, image_shape=(3, 32, 32)))


def stirred(model):
    """The model with adapters as they may be after training."""
    torch.manual_seed(2)
    for name, weight in model.named_parameters():
        if name.endswith("lora_b"):
            nn.init.normal_(weight, std=0.1)
    return model.eval()


def with_adapters(model):
    return {name.rpartition(".")[0] for name, _ in model.named_parameters() if name.endswith("lora_a")}


def test_adapted_by_hand():
    weight, lora_a, lora_b = torch.ones(2, 3), torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[10.0], [0.0]])
    assert adapted(weight, lora_a, lora_b, 0.5).tolist() == [[6, 11, 16], [1, 1, 1]]


def test_a_layer_is_two_beside_one():
    """W x + 2 B (A x), as the paper has it; a convolution with A, then one of 1x1 with B, beside a convolution."""
    model = stirred(changed(nn.Sequential(nn.Linear(6, 7), nn.Conv2d(4, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, groups=4),
                                          nn.Linear(7, 5)), rank=2, alpha=4.0))
    plain = copy.deepcopy(fuse(model))
    given = torch.randn(3, 6)
    first, second, third, _ = model
    base = first._parameters["weight"]
    torch.testing.assert_close(first(given),
                               F.linear(given, base, first.bias) + 2 * given @ first.lora_a.T @ first.lora_b.T)
    images = torch.randn(2, 4, 9, 9)
    inner = F.conv2d(images, second.lora_a.view(2, 4, 3, 3), stride=2, padding=1)
    torch.testing.assert_close(second(images), F.conv2d(images, second._parameters["weight"], second.bias, 2, 1)
                               + 2 * F.conv2d(inner, second.lora_b.view(8, 2, 1, 1)))
    whole = third._parameters["weight"] + 2 * (third.lora_b @ third.lora_a).view(8, 2, 3, 3)
    torch.testing.assert_close(plain[2].weight, whole)


def small(name):
    """A model of the name; a vision transformer of torchvision with two blocks, whose head is not of zeros."""
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    if name != "torchvision":
        return built(name, 5, 3).eval()
    made = VisionTransformer(160, 32, 2, 2, 32, 64, num_classes=5).eval()
    nn.init.normal_(made.heads.head.weight)
    return made


@pytest.mark.parametrize("name", ["resnet8", VIT, "timm:test_convnext", "torchvision"])
@torch.no_grad()
def test_the_network_begins_as_it_was_and_is_fused_to_what_it_became(name):
    plain, images = small(name), torch.randn(2, 3, 160, 160)
    model = changed(copy.deepcopy(plain)).eval()
    assert torch.equal(model(images), plain(images))
    fused = fuse(stirred(model))
    assert not torch.allclose(model(images), plain(images), atol=1e-3)
    torch.testing.assert_close(fused(images), model(images), rtol=1e-4, atol=1e-4)
    assert fused.state_dict().keys() == plain.state_dict().keys()
    assert {key: type(module) for key, module in fused.named_modules()} == {
        key: type(module) for key, module in plain.named_modules()}


@pytest.mark.parametrize(("layers", "names"), [
    ("attention", ["attn.qkv", "attn.proj"]), ("linear", ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]),
    ("all", ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"])])
def test_which_layers(layers, names):
    model = changed(build(VIT, 5, 3), layers=layers, rank=8)
    assert with_adapters(model) == {f"blocks.{block}.{name}" for block in range(6) for name in names} | (
        {"patch_embed.proj"} if layers == "all" else set())
    qkv = model.blocks[0].attn.qkv
    assert qkv.lora_a.shape == (8, 64) and qkv.lora_b.shape == (192, 8)


def test_is_drawn_as_peft_draws_it():
    model = nn.Sequential(nn.Linear(400, 300), nn.Linear(300, 5))
    run = make_run(counts=(1,) * 5)
    layer = Lora(rank=16).model(model, run)[0]
    expected = torch.empty(16, 400)
    torch.manual_seed(0)
    nn.init.kaiming_uniform_(expected, a=5 ** 0.5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.lora_a.detach(), expected)
    assert not layer.lora_b.any()


@pytest.mark.parametrize("model", ["resnet8", "timm:test_convnext"])
def test_each_step_moves_adapters_and_classifier_alone(model):
    made = trainer(Lora(), LayerDecay(0.9), model=model, epochs=1)
    names = list(dict(made.run.model.named_parameters()))
    head = {name for name in names if name.startswith("head.fc." if ":" in model else "head.")}
    adapters = {name for name in names if name.rpartition(".")[2] in ADAPTERS}
    seen = moved(made)
    assert all(statistics == set() and weights <= adapters | head for weights, statistics in seen)
    assert seen[-1][0] == adapters | head and len(adapters) > 12


def test_learns_what_plain_training_learns():
    made = trainer(Lora(rank=8), Sgd(lr=0.1), epochs=12)
    assert [metrics.values["val/accuracy"] for metrics in made.epochs()][-1] > 0.8


def test_a_finished_bundle_is_handed_over_as_a_plain_network(tmp_path):
    program = handed_over({"sgd": {"lr": 0.05}, "pretrained": {}, "lora": {}, "ema": {"decay": 0.5}}, tmp_path)
    assert [name for name in program.state_dict if name.startswith("model.") and "conv1" in name] == [
        f"model.layers.{place}.conv1.weight" for place in range(3)]


def test_an_average_follows_adapters():
    made = trainer(Lora(), Ema(0.0))
    list(made.epochs())
    state = made.run.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in made.evaluated.state_dict().items())
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(made.evaluated.eval()(images), made.run.model.eval()(images))


def test_a_layer_that_standardizes_its_weight_standardizes_what_was_learned():
    """Its own `scale` has nothing to do with that of the adapters."""
    from timm.layers import ScaledStdConv2d

    torch.manual_seed(0)
    layer, images = ScaledStdConv2d(4, 8, 3), torch.randn(2, 4, 6, 6)
    first = layer(images)
    model = changed(nn.Sequential(layer, nn.Linear(4, 5)))
    assert torch.equal(model[0](images), first)
    plain = fuse(stirred(model))[0]
    torch.testing.assert_close(model[0](images), plain(images))
    assert type(plain) is ScaledStdConv2d and not torch.allclose(plain(images), first, atol=1e-3)


def test_is_compiled_whole():
    model, images = stirred(changed(build("resnet8", 5, 3))), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(images), model(images))


def test_a_model_without_such_layers_is_one_clear_line():
    with pytest.raises(ModelError, match=r"lora: ResNet has no layer for layers: attention\. Take layers: all, or"):
        changed(build("resnet8", 5, 3), layers="attention")


def test_a_rank_of_nothing_is_refused():
    with pytest.raises(BundleError, match=r"lora\.rank: 0 is not allowed; rank must be >= 1"):
        Lora(rank=0)

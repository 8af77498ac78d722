import math

import pytest
import timm
import torch
from timm.layers.cond_conv2d import CondConv2d
from torch import nn
from torchvision.models import VisionTransformer

from autotricks.errors import ModelError
from autotricks.nn.initialization import draw, fans, initialize, kaiming


@pytest.mark.parametrize(("layer", "expected"), [
    (nn.Linear(7, 5), (7, 5)),
    (nn.Conv2d(4, 6, (3, 5)), (4 * 15, 6 * 15)),
    (nn.Conv2d(8, 12, 3, groups=4), (2 * 9, 3 * 9)),
    (nn.ConvTranspose2d(8, 12, 3, groups=4), (2 * 9, 3 * 9)),
    (CondConv2d(8, 12, 3, groups=4, num_experts=5), (2 * 9, 3 * 9)),
    (nn.Conv2d(8, 8, 3, groups=8), (9, 9))])     # depthwise: nine inputs to an output, nine outputs from an input
def test_fans_count_the_links_of_an_output_and_of_an_input(layer, expected):
    assert fans(layer) == expected


@pytest.mark.parametrize("layer", [nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.Linear(7, 5), nn.Conv1d(3, 2, 5)])
def test_fans_are_the_terms_of_a_sum_and_the_sums_of_a_term(layer):
    side = (1, 9, 9) if isinstance(layer, nn.Conv2d) else (1, 21) if isinstance(layer, nn.Conv1d) else (1,)
    wide = layer.in_channels if hasattr(layer, "in_channels") else layer.in_features
    images = torch.ones(1, wide, *side[1:], requires_grad=True)
    nn.init.ones_(layer.weight), nn.init.zeros_(layer.bias)
    middle = tuple(size // 2 for size in side[1:])
    outputs = layer(images)
    assert fans(layer)[0] == outputs[(0, 0, *middle)]
    outputs.sum().backward()
    assert fans(layer)[1] == images.grad[(0, 0, *middle)]


@pytest.mark.parametrize(("uniform", "kurtosis"), [(False, 3.0), (True, 1.8)])
def test_draws_the_variance_and_the_shape_asked_for(uniform, kurtosis):
    layer = nn.Linear(300, 400)
    draw(layer, 0.04, torch.Generator().manual_seed(0), uniform)
    weight = layer.weight.detach()
    assert float(weight.mean()) == pytest.approx(0, abs=0.003)
    assert float(weight.var()) == pytest.approx(0.04, rel=0.02)
    assert float((weight ** 4).mean() / weight.var() ** 2) == pytest.approx(kurtosis, rel=0.03)
    assert not layer.bias.any()
    if uniform:
        assert float(weight.abs().max()) <= math.sqrt(3 * 0.04)


def test_draws_from_the_generator_given_and_leaves_norms_alone():
    def made(seed):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(2))
        model(torch.zeros(2, 2, 4, 4))
        nn.init.constant_(model[1].weight, 0.7), nn.init.constant_(model[1].bias, 0.3)
        return initialize(model, lambda fan_in, fan_out: 1 / fan_in, torch.Generator().manual_seed(5), False)
    left, right = made(0), made(1)
    assert all(torch.equal(one, other) for one, other in zip(left.parameters(), right.parameters(), strict=True))
    assert left[1].weight.tolist() == pytest.approx([0.7] * 3) and left[1].bias.tolist() == pytest.approx([0.3] * 3)


def test_kaiming_is_two_over_the_fan():
    assert kaiming(8) == 0.25


def test_a_model_without_layers_to_draw_is_one_clear_line():
    with pytest.raises(ModelError, match=r"Sequential has no convolution and no linear .*drop the init") as caught:
        initialize(nn.Sequential(nn.Flatten()), lambda fan_in, fan_out: 1.0, torch.Generator(), False)
    assert len(caught.value.problems) == 1


def drawn_anew(model):
    """Names of the parameters that an initialization with variance 1 / fan_in changes, and the model."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        nn.init.constant_(weight, 9.0)
    initialize(model, lambda fan_in, fan_out: 1 / fan_in, torch.Generator().manual_seed(5), False)
    return {name for name, weight in model.named_parameters() if not (weight == 9.0).all()}, before.keys()


def test_queries_keys_and_values_of_torchs_attention_are_drawn_too():
    """In one weight or, where they read different things, in three; as in torch the bias of all is 0."""
    one, names = drawn_anew(nn.MultiheadAttention(96, 3))
    assert one == names == {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}
    three, _ = drawn_anew(nn.MultiheadAttention(96, 3, kdim=40, vdim=50, add_bias_kv=True))
    assert three == {"q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias", "out_proj.weight",
                     "out_proj.bias"}
    layer = nn.MultiheadAttention(96, 3)
    initialize(layer, lambda fan_in, fan_out: 2 / (fan_in + fan_out), torch.Generator().manual_seed(5), True)
    assert not layer.in_proj_bias.any()
    bound = float(nn.init.xavier_uniform_(torch.empty(288, 96)).abs().max())     # torch's own, of the whole weight
    assert float(layer.in_proj_weight.abs().max()) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("name", ["torchvision", "timm"])
def test_of_a_vision_transformer_all_but_norms_and_positions_are_drawn(name):
    """What is left is what timm and torchvision do not decay either: norms, tokens, positions."""
    model = (timm.create_model("vit_tiny_patch16_224", depth=2, embed_dim=24, img_size=32) if name == "timm" else
             VisionTransformer(32, 16, 2, 2, 24, 48))
    changed, names = drawn_anew(model)
    left = names - changed
    assert all("norm" in word or "ln" in word or "token" in word or "pos_embed" in word for word in left), left
    assert {word.split(".")[0] for word in left if "norm" not in word and "ln" not in word} == (
        {"cls_token", "pos_embed"} if name == "timm" else {"class_token", "encoder"})


def test_recurrent_layers_are_drawn_and_tables_and_scales_are_not():
    model = nn.ModuleDict({"rnn": nn.LSTM(40, 30), "table": nn.Embedding(5, 4), "norm": nn.LayerNorm((3, 4))})
    changed, names = drawn_anew(model)
    assert changed == {name for name in names if name.startswith("rnn.")} and len(changed) == 4
    assert float(model["rnn"].weight_hh_l0.detach().var()) == pytest.approx(1 / 30, rel=0.1)

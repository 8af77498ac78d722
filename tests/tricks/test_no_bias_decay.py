import pytest
import timm
import torch
import torchvision
from timm.optim import param_groups_weight_decay
from torch import nn

from autotricks.models import build
from autotricks.nn.decay import decayed as decayed_weights
from autotricks.tricks.parameters.no_bias_decay import NoBiasDecay, split
from tests.conftest import make_run, sampled


def with_model(model):
    run = make_run()
    run.model = model
    return run


def test_a_resnet_has_as_many_decayed_weights_as_convolutions_and_linear_layers():
    model = build("resnet20", 10, 3)
    decayed, plain = NoBiasDecay().parameters([{"params": list(model.parameters())}], with_model(model))
    # 19 convolutions and the head against two vectors for each of 19 norms and the bias of the head
    assert (len(decayed["params"]), len(plain["params"])) == (20, 39)
    assert "weight_decay" not in decayed and plain["weight_decay"] == 0
    assert {id(weight) for weight in decayed["params"] + plain["params"]} == {id(w) for w in model.parameters()}


def test_only_weights_with_two_dimensions_or_more_shrink():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2), nn.PReLU())
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    groups = NoBiasDecay().parameters([{"params": list(model.parameters())}], with_model(model))
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.5)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        share = 0.95 if name in ("0.weight", "3.weight") else 1.0
        assert torch.allclose(weight, before[name] * share, rtol=1e-6, atol=0), name


def test_a_group_keeps_its_other_settings():
    matrix, vector = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    groups = split({"params": [vector, matrix], "lr": 0.3, "weight_decay": 0.2}, {matrix})
    assert groups == [{"params": [matrix], "lr": 0.3, "weight_decay": 0.2},
                      {"params": [vector], "lr": 0.3, "weight_decay": 0.0}]


def test_no_group_is_left_empty():
    vector = nn.Parameter(torch.ones(2))
    assert split({"params": [vector]}, set()) == [{"params": [vector], "weight_decay": 0.0}]
    assert split({"params": []}, set()) == []


@pytest.mark.parametrize("name", sampled([
    "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto",
    "efficientnet_b0", "levit_128s", "coatnet_0_224"], "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224", "efficientnet_b0", "levit_128s"))
def test_spares_what_timm_spares(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    said = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    plain, kept = param_groups_weight_decay(model, 0.1, no_weight_decay_list=said)
    assert plain["weight_decay"] == 0 and kept["weight_decay"] == 0.1
    assert list(decayed_weights(model).values()) == kept["params"]
    ours = NoBiasDecay().parameters([{"params": list(model.parameters()), "weight_decay": 0.1}], with_model(model))
    assert [group["params"] for group in ours] == [kept["params"], plain["params"]]


@pytest.mark.parametrize(("name", "spared"), [
    ("vit_b_16", {"class_token", "encoder.pos_embedding"}),
    ("swin_t", {f"features.{stage}.{block}.attn.relative_position_bias_table"
                for stage, blocks in ((1, 2), (3, 2), (5, 6), (7, 2)) for block in range(blocks)}),
    ("convnext_tiny", {f"features.{stage}.{block}.layer_scale"
                       for stage, blocks in ((1, 3), (3, 3), (5, 9), (7, 3)) for block in range(blocks)})])
def test_spares_what_torchvisions_models_call_so(name, spared):
    """Its training script names the first three; the last is a scale of [C, 1, 1]."""
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None)
    matrices = {name for name, weight in model.named_parameters() if weight.ndim > 1}
    assert matrices - decayed_weights(model).keys() == spared


def test_a_part_may_say_what_is_spared_and_a_pattern_too():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.query = nn.Parameter(torch.zeros(1, 2))
            self.query_two = nn.Parameter(torch.zeros(1, 2))
            self.key = nn.Parameter(torch.zeros(1, 2))

        def no_weight_decay(self):
            return {"query*"}
    assert list(decayed_weights(nn.Sequential(Tokens(), nn.Linear(2, 2)))) == ["0.key", "1.weight"]

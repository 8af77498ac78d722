import torch
from torch import nn

from autotricks.models import build
from autotricks.tricks.parameters.no_bias_decay import NoBiasDecay, split
from tests.conftest import make_run


def test_a_resnet_has_as_many_decayed_weights_as_convolutions_and_linear_layers():
    model = build("resnet20", 10, 3)
    decayed, plain = NoBiasDecay().parameters([{"params": list(model.parameters())}], make_run())
    # 19 convolutions and the head against two vectors for each of 19 norms and the bias of the head
    assert (len(decayed["params"]), len(plain["params"])) == (20, 39)
    assert "weight_decay" not in decayed and plain["weight_decay"] == 0
    assert {id(weight) for weight in decayed["params"] + plain["params"]} == {id(w) for w in model.parameters()}


def test_only_weights_with_two_dimensions_or_more_shrink():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2), nn.PReLU())
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    groups = NoBiasDecay().parameters([{"params": list(model.parameters())}], make_run())
    optimizer = torch.optim.SGD(groups, lr=0.1, weight_decay=0.5)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    for name, weight in model.named_parameters():
        share = 0.95 if name in ("0.weight", "3.weight") else 1.0
        assert torch.allclose(weight, before[name] * share, rtol=1e-6, atol=0), name


def test_a_group_keeps_its_other_settings():
    matrix, vector = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    groups = split({"params": [vector, matrix], "lr": 0.3, "weight_decay": 0.2})
    assert groups == [{"params": [matrix], "lr": 0.3, "weight_decay": 0.2},
                      {"params": [vector], "lr": 0.3, "weight_decay": 0.0}]


def test_no_group_is_left_empty():
    vector = nn.Parameter(torch.ones(2))
    assert split({"params": [vector]}) == [{"params": [vector], "weight_decay": 0.0}]
    assert split({"params": []}) == []

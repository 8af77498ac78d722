import math

import pytest
import torch
from torch import nn

from autotricks.errors import ModelError
from autotricks.nn.initialization import draw, fans, initialize, kaiming


@pytest.mark.parametrize(("layer", "expected"), [
    (nn.Linear(7, 5), (7, 5)),
    (nn.Conv2d(4, 6, (3, 5)), (4 * 15, 6 * 15)),
    (nn.Conv2d(8, 12, 3, groups=4), (2 * 9, 3 * 9)),
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

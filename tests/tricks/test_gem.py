import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.traits import Trait
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.trial import prepare
from autotricks.tricks.model.gem import Gem, generalized_mean
from tests.conftest import built, make_dataset, make_run

MAPS = torch.rand(3, 4, 5, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor(
    [1.0, 1e-3, 50.0, 1e4]).view(1, 4, 1, 1) + 1e-5


def test_by_hand():
    maps = torch.tensor([[[[1.0, 2.0], [2.0, 4.0]]]])
    assert generalized_mean(maps, 3.0).item() == pytest.approx(((1 + 8 + 8 + 64) / 4) ** (1 / 3))
    assert generalized_mean(maps, 2.0).item() == pytest.approx(2.5)


def test_the_first_power_is_the_average_and_a_high_one_the_maximum():
    assert torch.allclose(generalized_mean(MAPS, 1.0), MAPS.mean((2, 3), keepdim=True), rtol=1e-5)
    assert torch.allclose(generalized_mean(MAPS, 1e4), MAPS.amax((2, 3), keepdim=True), rtol=1e-3)


@pytest.mark.parametrize("power", [1.0, 3.0, 6.0])
def test_is_the_formula_in_double_precision_with_its_gradients(power):
    maps, p = MAPS.clone().requires_grad_(), torch.tensor([power], requires_grad=True)
    found = generalized_mean(maps, p)
    found.sum().backward()
    wide, exponent = MAPS.double().requires_grad_(), torch.tensor([power], dtype=torch.float64, requires_grad=True)
    plain = wide.pow(exponent).mean((2, 3), keepdim=True).pow(1 / exponent)
    plain.sum().backward()
    assert torch.allclose(found.double(), plain, rtol=1e-5)
    assert torch.allclose(maps.grad.double(), wide.grad, rtol=1e-4)
    assert torch.allclose(p.grad.double(), exponent.grad, rtol=1e-4)


def test_neither_maps_of_zeros_nor_large_ones_nor_half_precision_break_it():
    for maps in (torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), -3.0), torch.full((1, 1, 2, 2), 1e30)):
        maps.requires_grad_()
        p = torch.tensor([6.0], requires_grad=True)
        found = generalized_mean(maps, p)
        found.backward()
        assert found.item() == pytest.approx(max(1e-6, maps.max().item()))
        assert maps.grad.isfinite().all() and p.grad.isfinite().all()
    half = torch.full((1, 1, 2, 2), 200.0, dtype=torch.float16)
    assert generalized_mean(half, 6.0).item() == 200 and generalized_mean(half, 6.0).dtype == torch.float16


@pytest.mark.parametrize(("name", "place"), [
    ("resnet8", "pool"), ("timm:test_resnet", "global_pool.pool"), ("timm:test_convnext", "head.global_pool.pool"),
    ("torchvision:mobilenet_v3_small", "avgpool")])
def test_models_pool_by_it(name, place):
    torch.manual_seed(0)
    model, seen = built(name, 5, 3), []
    model = Gem(power=3.0).model(model, make_run(counts=(5, 4, 3, 2, 1)))
    learned, = [name for name, _ in model.named_parameters() if name.endswith("power")]
    assert learned == f"{place}.power"
    pool = model.get_submodule(place)
    pool.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    model(torch.randn(4, 3, 64, 64)).square().sum().backward()
    (maps, pooled), = seen  # once: it is the global one, not one inside a block
    assert maps.shape[:2] == pooled.shape[:2] and pooled.shape[2:] == (1, 1) and maps.shape[2] > 1
    expected = maps.detach().double().clamp(min=1e-6).pow(3).mean((2, 3), keepdim=True).pow(1 / 3)
    assert torch.allclose(pooled.double(), expected, rtol=1e-4)
    assert pool.power.grad.abs().item() > 0


def test_our_resnet_pools_maps_to_the_generalized_mean():
    torch.manual_seed(0)
    model = Gem(power=3.0, learned=False).model(build("resnet8", 5, 3), make_run(counts=(5, 4, 3, 2, 1))).eval()
    images = torch.randn(2, 3, 16, 16)
    maps = model.forward_features(images).detach().double().clamp(min=1e-6)
    pooled = maps.pow(3).mean((2, 3)).pow(1 / 3).float()
    assert torch.allclose(model(images), model.head(pooled), atol=1e-5)
    assert not any(name.startswith("pool") for name in model.state_dict())


def test_the_exponent_is_learned_and_below_1_counts_as_1():
    trainer = prepare(Bundle((Use(Gem()),), epochs=4, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9
    model = trainer.run.model
    assert model.pool.power.item() != 3.0
    images = trainer.run.normalize(trainer.run.images[:3])
    with torch.no_grad():
        model.eval().pool.power.fill_(-2.0)
        below = model(images)
        model.pool.power.fill_(1.0)
        assert torch.equal(model(images), below)


@pytest.mark.parametrize("model", [
    nn.Sequential(nn.Conv2d(2, 3, 1)), nn.Sequential(nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d((7, 7)))])    # as in VGG
def test_a_model_that_averages_nothing_is_refused(model):
    with pytest.raises(ModelError, match=r"gem: \w+ has no torch.nn.AdaptiveAvgPool2d\(1\) inside it"):
        Gem().model(model, make_run())


def test_maps_are_no_longer_the_classifiers_and_a_power_below_1_is_refused():
    assert Trait.ALTERS_FEATURES in Gem.provides
    with pytest.raises(BundleError, match=r"gem\.power: 0\.5 is not allowed; power must be >= 1"):
        Gem(power=0.5)

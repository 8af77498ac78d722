import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.nn.residual import residual_blocks, shortcut
from autotricks.trial import prepare
from autotricks.tricks.model.batch_renorm import BatchRenorm
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.model.stochastic_depth import StochasticDepth, dropped, rates
from tests.conftest import built, make_dataset, make_run, sampled

NAMES = ["resnet8", "timm:test_resnet", "timm:convnext_atto", "timm:test_vit", "timm:efficientnet_b0",
         "torchvision:resnet18", "torchvision:efficientnet_b0", "torchvision:convnext_tiny"]


def changed(name, rate=0.5):
    torch.manual_seed(0)
    return StochasticDepth(rate).model(built(name, 5, 3), make_run(image_shape=(3, 32, 32)))


def found(model):
    """The rate of each place, in order, of ours, timm's and torchvision's kinds."""
    names = {"_Dropped": "rate", "DropPath": "drop_prob", "StochasticDepth": "p"}
    return [getattr(module, names[type(module).__name__]) for module in model.modules()
            if type(module).__name__ in names]


@pytest.mark.parametrize("shape", [(64, 3), (64, 5, 7), (64, 3, 4, 4)])
def test_is_timms_and_torchvisions_function(shape):
    from timm.layers import drop_path
    from torchvision.ops import stochastic_depth

    branch, results = torch.randn(shape), []
    for function in (lambda: dropped(branch, 0.3), lambda: drop_path(branch, 0.3, True),
                     lambda: stochastic_depth(branch, 0.3, "row")):
        torch.manual_seed(1)
        results.append(function())
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    missing = [not image.any() for image in results[0]]
    assert 8 < sum(missing) < 32
    kept = torch.tensor(missing).logical_not()
    torch.testing.assert_close(results[0][kept], branch[kept] / 0.7)


def test_the_rates_rise_linearly():
    assert rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3]) and rates(0.3, 1) == [0.3]


@pytest.mark.parametrize("name", sampled(["convnext_atto", "test_vit", "resnet18", "regnetx_002", "resnest14d"],
                                         "convnext_atto", "test_vit", "regnetx_002"))
def test_rates_are_those_of_timm(name):
    import timm

    theirs = timm.create_model(name, drop_path_rate=0.4)
    ours = [rate for rate in found(changed(f"timm:{name}", 0.4)) if rate]
    assert ours == pytest.approx([rate for rate in found(theirs) if rate], abs=1e-6) and len(ours) >= 3


def test_rates_are_those_of_torchvision():
    import torchvision.models as zoo

    with torch.device("meta"):      # no weights are drawn there
        theirs = zoo.convnext_tiny(stochastic_depth_prob=0.4)
    assert found(changed("torchvision:convnext_tiny", 0.4)) == pytest.approx(found(theirs))


@pytest.mark.parametrize("name", ["convnext_atto", "test_vit", "resnet18"])
def test_trains_what_timms_own_option_trains(name):
    import timm

    size, outputs = 160 if name == "test_vit" else 32, []
    for model in (timm.create_model(name, num_classes=5, drop_path_rate=0.5), changed(f"timm:{name}", 0.5)):
        torch.manual_seed(0)
        state = {key: torch.randn_like(value) * 0.1 if value.is_floating_point() else value
                 for key, value in model.state_dict().items()}
        model.load_state_dict(state)
        torch.manual_seed(3)
        outputs.append(model.train()(torch.randn(4, 3, size, size)))
    torch.testing.assert_close(outputs[1], outputs[0])


@pytest.mark.parametrize("name", sampled(["resnet8", "torchvision:resnet18", "torchvision:resnet50"], "resnet8",
                                         "torchvision:resnet18"))
def test_a_dropped_block_is_relu_of_its_shortcut_and_others_count_double(name):
    model, plain = changed(name), built(name, 5, 3)
    block, ordinary = residual_blocks(model, "test")[-1], residual_blocks(plain, "test")[-1]
    ordinary.load_state_dict({key.replace("bn3.0", "bn3").replace("bn2.0", "bn2"): value
                              for key, value in block.state_dict().items()})
    images = torch.randn(64, block.conv1.in_channels, 4, 4)
    branch = []
    getattr(ordinary, "bn3", ordinary.bn2).register_forward_hook(lambda module, given, output: branch.append(
        output.clone()))
    ordinary(images.clone())
    output, path = block(images.clone()), getattr(block, shortcut(block))
    straight = images if path is None else path(images)
    missing = (output == torch.relu(straight)).flatten(1).all(1)
    assert 16 < missing.sum() < 48
    torch.testing.assert_close(output[~missing], torch.relu(straight + 2 * branch[0])[~missing])


@pytest.mark.parametrize("name", sampled(NAMES, "resnet8", "timm:test_resnet", "timm:test_vit", "torchvision:resnet18",
                                         "torchvision:efficientnet_b0"))
def test_prediction_is_that_of_the_whole_network(name):
    model = changed(name).eval()
    torch.manual_seed(0)
    plain, images = built(name, 5, 3).eval(), torch.randn(2, 3, 160, 160)
    assert torch.equal(model(images), plain(images)) and max(found(model)) >= 0.4


def test_with_rate_0_nothing_changes():
    trained = []
    for uses in ((), (Use(StochasticDepth(0.0)),)):
        trainer = prepare(Bundle(uses, epochs=1, batch_size=16), make_dataset())
        next(trainer.epochs())
        trained.append(list(trainer.run.model.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(*trained, strict=True))


@pytest.mark.parametrize("norm", [GroupNorm(), BatchRenorm()])
def test_lies_behind_whatever_normalizes_and_learns(norm):
    bundle = Bundle((Use(norm), Use(StochasticDepth(0.3))), epochs=6, batch_size=16)
    trainer = prepare(bundle, make_dataset())
    ends = [block.bn2 for block in residual_blocks(trainer.run.model, "test")]
    assert all(not isinstance(end[0], nn.Sequential) and type(end[1]).__name__ == "_Dropped" for end in ends)
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.8


def test_a_model_without_residual_branches_is_one_clear_line():
    with pytest.raises(ModelError, match=r"stochastic_depth: SqueezeNet has no residual .* drop stoch.*\.") as caught:
        changed("torchvision:squeezenet1_1")
    assert len(caught.value.problems) == 1


def test_to_drop_all_is_refused():
    with pytest.raises(BundleError, match=r"stochastic_depth\.rate: 1\.0 is not allowed; rate must be >= 0 and < 1"):
        StochasticDepth(1.0)

import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.plan import problems
from autotricks.errors import BundleError, ModelError
from autotricks.nn.residual import residual_blocks, shortcut
from autotricks.trial import prepare
from autotricks.tricks.model.acnet import Acnet
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.model.layer_scale import LayerScale, scales
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.tricks.model.stochastic_depth import StochasticDepth
from autotricks.tricks.model.zero_gamma import ZeroGamma
from tests.conftest import built, make_dataset, make_run
from tests.tricks.exported import handed_over

RESNETS = ["resnet8", "timm:test_resnet", "timm:resnet10t", "torchvision:resnet18"]


def changed(name, init, *before):
    torch.manual_seed(0)
    model, run = built(name, 5, 3), make_run(image_shape=(3, 32, 32))
    for trick in (*before, LayerScale(init)):
        model = trick.model(model, run)
    return model


@pytest.mark.parametrize("name", RESNETS)
def test_a_block_is_relu_of_its_shortcut_and_a_share_of_its_branch(name):
    block, plain = (residual_blocks(model, "test")[-1] for model in (changed(name, 0.25), changed(name, 1.0)))
    images, branches = torch.randn(4, block.conv1.in_channels, 8, 8), []
    norm = getattr(plain, "bn3", plain.bn2)
    norm.register_forward_hook(lambda module, given, output: branches.append(output.clone()))
    plain(images.clone())
    path = getattr(block, shortcut(block))
    straight = images if path is None else path(images)
    torch.testing.assert_close(block(images.clone()), torch.relu(straight + branches[0] / 4))


@pytest.mark.parametrize("name", [*RESNETS, "timm:test_vit"])
def test_with_scales_of_1_nothing_changes(name):
    torch.manual_seed(0)
    plain, images = built(name, 5, 3).eval(), torch.randn(2, 3, 160, 160)
    model = changed(name, 1.0).eval()
    assert torch.equal(model(images), plain(images)) and scales(model)


def test_is_timms_own_option_of_a_vision_transformer():
    import timm

    theirs = timm.create_model("test_vit", num_classes=5, init_values=0.1).eval()
    ours, images = changed("timm:test_vit", 0.1).eval(), torch.randn(2, 3, 160, 160)
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in theirs.state_dict().items()
               if ".ls" in name)
    ours.load_state_dict(theirs.state_dict())       # by the same names
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize(("ours", "options"), [("timm:convnext_atto", {"ls_init_value": 0.3}),
                                               ("torchvision:convnext_tiny", {"layer_scale": 0.3})])
def test_scales_that_are_there_are_set(ours, options):
    import timm
    import torchvision.models as zoo

    library, _, name = ours.partition(":")
    theirs = timm.create_model(name, **options) if library == "timm" else zoo.convnext_tiny(**options)
    expected = {key: value for key, value in theirs.state_dict().items() if bool((value == 0.3).all())}
    found = changed(ours, 0.3).state_dict()
    assert len(expected) >= 12 and all(torch.equal(found[key], value) for key, value in expected.items())
    assert found.keys() == theirs.state_dict().keys()


@pytest.mark.parametrize("others", [(GroupNorm(),), (Acnet(), ZeroGamma()), (StochasticDepth(0.2),)])
def test_stands_behind_whatever_normalizes_and_learns(others):
    trainer = prepare(Bundle((Use(LayerScale(0.5)), *map(Use, others)), epochs=6, batch_size=16), make_dataset())
    found = scales(trainer.run.model)
    assert len(found) == len(trainer.run.model.layers) and all(bool((scale == 0.5).all()) for scale in found)
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.8
    assert all(bool((scale != 0.5).any()) for scale in found)


def test_an_exported_model_keeps_its_scales(tmp_path):
    program = handed_over({"layer_scale": {"init": 0.3}, "stochastic_depth": {}, "batch_renorm": {}}, tmp_path)
    kept = [value for name, value in program.state_dict.items() if name.startswith("model.") and name.endswith("gamma")]
    assert len(kept) == 3 and all(0.1 < float(value.mean()) < 0.6 for value in kept)


def test_a_norm_whose_scale_is_called_gamma_is_no_branch():
    class OddNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(3))
    assert scales(nn.Sequential(OddNorm())) == []


def test_weights_of_a_file_keep_their_lengths():
    assert problems([Use(Pretrained()), Use(LayerScale())]) == [
        "pretrained excludes layer_scale, which provides new weights. Drop one."]


def test_a_model_without_branches_is_one_clear_line():
    with pytest.raises(ModelError, match=r"layer_scale: SqueezeNet has no residual blocks .* drop layer_scale\."):
        changed("torchvision:squeezenet1_1", 0.1)


def test_branches_of_no_length_are_refused():
    with pytest.raises(BundleError, match=r"layer_scale\.init: 0 is not allowed; init must be > 0"):
        LayerScale(0)

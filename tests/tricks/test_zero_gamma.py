import pytest
import torch
from timm.models.nfnet import NfCfg, NormFreeNet
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import ModelError
from autotricks.models import build
from autotricks.models.build import speaking
from autotricks.nn.residual import residual_blocks, shortcut
from autotricks.trial import prepare
from autotricks.tricks.model.group_norm import GroupNorm
from autotricks.tricks.model.zero_gamma import ZeroGamma
from tests.conftest import built, make_dataset, make_run

RESNETS = ["resnet8", "timm:test_resnet", "timm:resnet18", "torchvision:resnet18", "torchvision:resnet50"]


@pytest.mark.parametrize("name", RESNETS)
def test_every_block_is_relu_of_its_shortcut(name):
    model = ZeroGamma().model(built(name, 5, 3), make_run())
    blocks = residual_blocks(model, "test")
    for block in blocks:
        images = torch.randn(4, block.conv1.in_channels, 8, 8)
        path = getattr(block, shortcut(block))
        assert torch.equal(block(images.clone()), torch.relu(images if path is None else path(images)))
    zero = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d) and not module.weight.any()]
    assert len(zero) == len(blocks)
    assert all(bool((module.weight == 1).all()) for module in model.modules()
               if isinstance(module, nn.BatchNorm2d) and module not in zero)


def test_is_torchvisions_own_option():
    import torchvision.models as zoo

    theirs = zoo.resnet50(zero_init_residual=True).state_dict()
    ours = ZeroGamma().model(build("torchvision:resnet50", 1000, 3), make_run()).state_dict()
    zero = [name for name in theirs if name.endswith("weight") and not theirs[name].any()]
    assert len(zero) == 16 and zero == [name for name in ours if name.endswith("weight") and not ours[name].any()]


@pytest.mark.parametrize("name", ["regnetx_002", "res2net50_14w_8s", "resnest14d"])
def test_models_that_say_what_is_to_be_zero_are_as_timm_builds_them(name):
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=5).state_dict()
    torch.manual_seed(0)
    ours = ZeroGamma().model(build(f"timm:{name}", 5, 3), make_run()).state_dict()
    assert any(name.endswith("weight") and not value.any() for name, value in theirs.items())
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("skipinit", [True, False])
def test_branches_of_nf_nets_are_silent_as_timm_builds_them(skipinit):
    """By the gain of the branch, as in DeepMind's F-nets, or of its last convolution."""
    def made():
        torch.manual_seed(0)
        return NormFreeNet(NfCfg((1, 1), (16, 24), stem_chs=8, group_size=None, skipinit=skipinit), num_classes=5)
    theirs, model = made(), made()
    speaking(model)
    spoken = model.state_dict()
    opened = {name for name, value in theirs.state_dict().items() if not torch.equal(value, spoken[name])}
    assert len(opened) == 2 and all((spoken[name] == 1).all() for name in opened)
    ours = ZeroGamma().model(model, make_run()).state_dict()
    assert [name for name, value in theirs.state_dict().items() if not torch.equal(ours[name], value)] == []
    block, images = model.stages[1][0].eval(), torch.randn(2, 16, 8, 8)
    assert torch.equal(block(images), block.downsample(block.act1(images) * block.beta))


def test_stays_when_another_norm_takes_the_place_and_then_learns():
    bundle = Bundle((Use(ZeroGamma()), Use(GroupNorm())), epochs=2, batch_size=16)
    trainer = prepare(bundle, make_dataset())
    norms = [block.bn2 for block in trainer.run.model.layers]
    assert all(isinstance(norm, nn.GroupNorm) and not norm.weight.any() for norm in norms)
    list(trainer.epochs())
    assert all(bool(norm.weight.any()) for norm in norms)


def test_a_model_without_residual_blocks_is_one_clear_line():
    with pytest.raises(ModelError, match=r"zero_gamma: SqueezeNet has no residual .* drop zero_gamma\.") as caught:
        ZeroGamma().model(built("torchvision:squeezenet1_1", 5, 3), make_run())
    assert len(caught.value.problems) == 1

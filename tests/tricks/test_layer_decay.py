import pytest
import torch
from timm.models.metaformer import MetaFormer
from timm.optim import param_groups_layer_decay
from torch import nn
from torchvision.models import VisionTransformer

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.nn.classifier import classifier
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.model.group_head import GroupHead
from autotricks.tricks.optimizer.adabound import Adabound
from autotricks.tricks.optimizer.linear_scaling import LinearScaling
from autotricks.tricks.optimizer.lr_finder import LrFinder
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.parameters.layer_decay import LayerDecay, levels
from autotricks.tricks.parameters.no_bias_decay import NoBiasDecay
from tests.conftest import make_dataset, make_run
from tests.tricks.families import FAMILIES, family


def rates(*tricks, model="resnet8"):
    """The rate of each weight by name under a bundle."""
    bundle = Bundle(tuple(Use(trick) for trick in tricks), model=model, epochs=2, batch_size=16)
    trainer = prepare(bundle, make_dataset())
    names = {id(weight): name for name, weight in trainer.run.model.named_parameters()}
    found = [(names[id(weight)], group["lr"]) for group in trainer.optimizer.param_groups for weight in group["params"]]
    assert len(found) == len(names) == len(dict(found))  # each once
    return dict(found), trainer


def test_our_resnet_has_a_layer_for_stem_each_block_and_classifier():
    found = levels(build("resnet8", 4, 1), "head")
    assert {found[name] for name in ("stem.weight", "bn.weight", "bn.bias")} == {0}
    assert {found[name] for name in found if name.startswith("layers.1.")} == {2}
    assert found["head.weight"] == found["head.bias"] == 4
    assert set(levels(build("resnet20", 4, 1), "head").values()) == set(range(11))


@pytest.mark.parametrize(("name", "head", "expected"), [
    ("torchvision:resnet18", "fc", {"conv1.weight": 0, "bn1.bias": 0, "layer1.0.conv1.weight": 1,
                                    "layer2.0.downsample.0.weight": 3, "layer4.1.bn2.weight": 8, "fc.bias": 9}),
    ("torchvision:mobilenet_v3_small", "classifier.3", {
        "features.0.0.weight": 0, "features.0.1.bias": 0, "features.1.block.0.0.weight": 1,
        "features.11.block.3.1.weight": 11, "features.12.0.weight": 12, "classifier.0.weight": 13,
        "classifier.3.weight": 14}),
    pytest.param("torchvision:vgg11_bn", "classifier.6", {
        "features.0.weight": 0, "features.1.weight": 0, "features.4.bias": 1, "classifier.0.weight": 8,
        "classifier.6.weight": 10}, marks=pytest.mark.slow),
    ("timm:resnet18", "fc", {"conv1.weight": 0, "layer2.0.downsample.0.weight": 3, "layer4.1.bn2.weight": 8,
                             "fc.bias": 9}),
    ("timm:test_vit", "head", {"cls_token": 0, "pos_embed": 0, "patch_embed.proj.weight": 0, "head.weight": 7})])
def test_models_of_the_libraries(name, head, expected):
    model = build(name, 5, 3)
    assert classifier(model, 5) == head
    found = levels(model, head)
    assert {key: found[key] for key in expected} == expected
    assert found.keys() == dict(model.named_parameters()).keys() and max(found.values()) == found[f"{head}.weight"]


def test_each_layer_has_the_rate_of_the_one_above_times_the_decay():
    found, trainer = rates(LayerDecay(0.5), Sgd(lr=0.8))
    assert found["head.weight"] == found["head.bias"] == pytest.approx(0.8)
    assert found["layers.2.conv1.weight"] == pytest.approx(0.4) and found["layers.0.bn1.bias"] == pytest.approx(0.1)
    assert found["stem.weight"] == found["bn.bias"] == pytest.approx(0.05)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.8)  # which reports show


def test_the_blocks_of_an_encoder_or_of_a_stage_are_layers_each():
    model = VisionTransformer(32, 8, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=5)
    found = levels(model, "heads.head")
    assert {found[name] for name in ("class_token", "conv_proj.weight", "encoder.pos_embedding")} == {0}
    for number in range(3):
        block = f"encoder.layers.encoder_layer_{number}."
        assert {level for name, level in found.items() if name.startswith(block)} == {number + 1}
    assert found["encoder.ln.bias"] == 3 and found["heads.head.bias"] == 4
    found = levels(MetaFormer(num_classes=5, depths=(1, 2, 2, 3), dims=(8, 16, 24, 32)), "head.fc.fc2")
    blocks = [found[f"stages.{stage}.blocks.{number}.mlp.fc1.weight"]
              for stage, count in enumerate((1, 2, 2, 3)) for number in range(count)]
    assert blocks == [1, 3, 4, 6, 7, 9, 10, 11]     # three downsamplings between the stages
    assert found["stem.conv.weight"] == 0 and found["head.fc.fc2.weight"] == 12


@pytest.mark.parametrize("name", FAMILIES)
def test_the_rates_of_timms_models_are_those_that_timm_gives_them(name):
    """Of every weight: of classifier, class token and position table too."""
    run = make_run()
    run.model = family(name)
    trick = LayerDecay(0.65)
    groups = trick.parameters([{"params": list(run.model.parameters())}], run)
    optimizer = trick.optimizer(lambda groups: torch.optim.SGD(groups, lr=0.3), run)(groups)
    found = {weight: group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    expected = {weight: 0.3 * group["lr_scale"] for group in param_groups_layer_decay(run.model, layer_decay=0.65)
                for weight in group["params"]}
    assert found.keys() == expected.keys() == set(run.model.parameters())
    assert {name: found[weight] for name, weight in run.model.named_parameters()} == pytest.approx(
        {name: expected[weight] for name, weight in run.model.named_parameters()}, rel=1e-12)
    assert len(set(found.values())) == FAMILIES[name].blocks + 2


def test_the_steps_are_as_long_as_the_rates_say():
    _, plain = rates(Sgd(lr=0.8, momentum=0.0, weight_decay=0.0))
    _, decayed = rates(LayerDecay(0.5), Sgd(lr=0.8, momentum=0.0, weight_decay=0.0))
    moves = []
    for trainer in (plain, decayed):
        before = {name: weight.detach().clone() for name, weight in trainer.run.model.named_parameters()}
        trainer.enter(trainer.plan.phases[0])
        trainer._set_rate(0)
        trainer.step(torch.arange(16))
        moves.append({name: weight.detach() - before[name] for name, weight in trainer.run.model.named_parameters()})
    for name, share in {"stem.weight": 1 / 16, "layers.1.conv2.weight": 1 / 4, "head.weight": 1.0}.items():
        assert torch.allclose(moves[1][name], share * moves[0][name], rtol=1e-4, atol=1e-7) and moves[1][name].any()


def test_with_what_else_sets_groups_and_rates():
    found, trainer = rates(LayerDecay(0.5), NoBiasDecay(), LinearScaling(256), Sgd(lr=0.8, weight_decay=0.3), Ema())
    assert found["head.weight"] == found["head.bias"] == pytest.approx(0.8 * 16 / 256)
    assert found["stem.weight"] == pytest.approx(0.05 * 16 / 256)
    names = {id(weight): name for name, weight in trainer.run.model.named_parameters()}
    decays = {names[id(w)]: group["weight_decay"] for group in trainer.optimizer.param_groups for w in group["params"]}
    assert decays["head.bias"] == decays["bn.weight"] == 0 and decays["stem.weight"] == 0.3
    found, _ = rates(LayerDecay(0.5), LrFinder(iterations=12))
    assert found["stem.weight"] == pytest.approx(found["head.weight"] / 16)
    found, trainer = rates(LayerDecay(0.5), Adabound(lr=0.01))
    assert found["layers.2.bn1.weight"] == pytest.approx(0.005)


def test_what_stands_beside_the_classifier_learns_as_fast_as_it():
    found, _ = rates(LayerDecay(0.5), GroupHead(), Sgd(lr=0.8))
    assert found["group_head.weight"] == found["head.weight"] == pytest.approx(0.8)
    assert found["layers.2.conv1.weight"] == pytest.approx(0.4)


def test_without_decay_all_have_the_same_rate():
    found, _ = rates(LayerDecay(1.0), Sgd(lr=0.8))
    assert set(found.values()) == {0.8}


def test_a_model_without_classifier_is_refused():
    run = make_run()
    run.model = nn.Sequential(nn.Conv2d(2, 3, 1))
    with pytest.raises(ModelError, match="has no layer inside it"):
        LayerDecay().parameters([{"params": list(run.model.parameters())}], run)


def test_a_decay_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"layer_decay\.decay: 0 is not allowed; decay must be > 0 and <= 1"):
        LayerDecay(0)

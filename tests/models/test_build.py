import sys
import types

import pytest
import torch

from autotricks.errors import ModelError
from autotricks.models import build, check
from autotricks.models.resnet import ResNet
from tests.conftest import sampled


@pytest.mark.parametrize(("name", "layers"), [("resnet8", 8), ("resnet56", 56)])
def test_builds_ours_by_name(name, layers):
    model = build(name, 5, 1)
    assert isinstance(model, ResNet) and model.head.out_features == 5 and model.stem.in_channels == 1
    weighted = (torch.nn.Conv2d, torch.nn.Linear)
    assert sum(isinstance(module, weighted) for module in model.modules()) == layers


@pytest.mark.parametrize(("name", "words"), [
    ("resnet-20", "no model is called 'resnet-20'. Did you mean resnet20?"),
    ("restnet32", "Did you mean resnet32?"),
    ("zzz", "Ours are resnet8, resnet20, resnet32, resnet44, resnet56"),
    ("resnet18", "Did you mean timm:resnet18 or torchvision:resnet18?"),
    ("vit_tiny_patch16_224", "Did you mean timm:vit_tiny_patch16_224? Others"),
    ("tim:resnet18", "no model is called 'tim:resnet18'. Did you mean timm:resnet18?"),
    ("torchvison:vgg16", "no model is called 'torchvison:vgg16'. Did you mean torchvision:vgg16?"),
    ("tim:function", "model.name: tim:function is code of yours; allow it with --trust."),
    ("my.module:", "no model is called"),
    ("os.path:join(1)", "is not of the form my.module:function"),
    ("my.module:function", "allow it with --trust")])
def test_an_unusable_name_says_what_to_do(name, words):
    with pytest.raises(ModelError) as error:
        check(name)
    assert words in str(error.value) and len(error.value.problems) == 1


def test_unknown_models_of_the_libraries_give_the_nearest():
    with pytest.raises(ModelError, match=r"timm has no model 'resnet18x'\. Did you mean .*timm:resnet18\b"):
        build("timm:resnet18x", 10, 3)
    with pytest.raises(ModelError, match=r"torchvision has no model 'resnet19'\. Did you mean .*:resnet18\b"):
        build("torchvision:resnet19", 10, 3)


@pytest.mark.parametrize("name", ["timm:resnet18", "timm:resnet26d", "torchvision:resnet18",
                                  "torchvision:mobilenet_v3_small"])
def test_a_model_of_a_library_builds_without_zero_gamma(name):
    model = build(name, 7, 3).eval()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(bool((norm.weight == 1).all()) for norm in norms)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 7)


def test_timm_takes_gray_images_and_torchvision_says_that_it_does_not():
    assert build("timm:resnet18", 10, 1).eval()(torch.randn(1, 1, 32, 32)).shape == (1, 10)
    with pytest.raises(ModelError, match=r"takes images of 3 channels, these have 1\. Set data\.channels: 3"):
        build("torchvision:resnet18", 10, 1)


@pytest.fixture
def module(monkeypatch):
    made = types.ModuleType("made_for_test")
    made.linear = lambda classes, channels: torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, classes))
    made.narrow = lambda classes: torch.nn.Linear(1, classes)
    made.number = lambda classes, channels: 3
    monkeypatch.setitem(sys.modules, "made_for_test", made)
    return made


def test_own_code_is_refused_without_trust(module):
    called = []
    module.linear = lambda classes, channels: called.append(1)
    with pytest.raises(ModelError, match="--trust"):
        build("made_for_test:linear", 4, 2)
    assert called == []


def test_own_code_is_built_with_trust(module):
    assert build("made_for_test:linear", 4, 2, trust=True)(torch.randn(3, 2, 5, 5)).shape == (3, 4)


@pytest.mark.parametrize(("function", "words"), [
    ("absent", "cannot be imported"), ("narrow", "must be a function of classes and channels"),
    ("number", "returned int, not a torch.nn.Module")])
def test_own_code_that_is_no_model(module, function, words):
    with pytest.raises(ModelError, match=words):
        build(f"made_for_test:{function}", 4, 2, trust=True)


@pytest.mark.parametrize("name", ["regnetx_002", "resnest14d", "res2net50_14w_8s"])
def test_other_families_of_timm_have_no_zero_gamma(name):
    model = build(f"timm:{name}", 7, 3)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(bool((norm.weight == 1).all()) for norm in norms)


def test_branches_of_an_nf_net_speak_at_once():
    """timm silences them by a gain of 0 where other families have a norm's scale of 0."""
    import timm

    torch.manual_seed(3)
    silent = timm.create_model("nf_regnet_b0", num_classes=7)
    torch.manual_seed(3)
    ours = build("timm:nf_regnet_b0", 7, 3)
    theirs = silent.state_dict()
    changed = {name for name, value in ours.state_dict().items() if not torch.equal(value, theirs[name])}
    assert changed == {f"stages.{stage}.{block}.conv3.gain" for stage, depth in enumerate((1, 3, 6, 6))
                       for block in range(depth)}
    assert all(not theirs[name].any() and bool((ours.state_dict()[name] == 1).all()) for name in changed)


def test_a_timm_model_without_that_option_builds():
    assert build("timm:legacy_seresnet18", 7, 3) is not None


def state(model):
    return list(model.state_dict().items())


def equal(left, right):
    left, right = state(left), state(right)
    assert [name for name, _ in left] == [name for name, _ in right]
    return [name for (name, one), (_, other) in zip(left, right, strict=True) if not torch.equal(one, other)] == []


@pytest.mark.parametrize(("name", "options"), [
    ("test_resnet", {"zero_init_last": False}), *(
        pytest.param(name, {"zero_init_last": False}, marks=pytest.mark.slow) for name in (
            "resnet18", "resnet50_gn", "resnest14d")),
    ("regnetx_002", {"zero_init_last": False}), ("convnextv2_atto", {"drop_path_rate": 0.0, "drop_rate": 0.0}),
    ("ghostnet_050", {"drop_rate": 0.0}), ("fasternet_t1", {"drop_path_rate": 0.0})])
def test_a_timm_model_is_a_plain_build_parameter_by_parameter(name, options):
    import timm

    torch.manual_seed(3)
    plain = timm.create_model(name, num_classes=7, in_chans=3, **options)
    torch.manual_seed(3)
    ours = build(f"timm:{name}", 7, 3)
    assert equal(ours, plain)
    if "zero_init_last" in options:     # and not what timm builds unasked
        torch.manual_seed(3)
        assert not equal(ours, timm.create_model(name, num_classes=7, in_chans=3))


@pytest.mark.parametrize("name", sampled(["resnet18", "mobilenet_v3_small", "efficientnet_b0", "googlenet"],
                                         "mobilenet_v3_small", "googlenet"))
def test_a_torchvision_model_is_a_plain_build_parameter_by_parameter(name):
    import torchvision.models as zoo

    options = {"aux_logits": False} if name == "googlenet" else {}
    torch.manual_seed(3)
    plain = zoo.get_model(name, weights=None, num_classes=7, **options)
    torch.manual_seed(3)
    assert equal(build(f"torchvision:{name}", 7, 3), plain)


def settled(model, images):
    """Whether a model in training mode says the same twice."""
    with torch.no_grad():
        first, second = model.train()(images), model(images)
    return torch.equal(first, second)


@pytest.mark.parametrize("name", [
    "timm:ghostnet_050", *(pytest.param(name, marks=pytest.mark.slow) for name in (
        "timm:fasternet_t2", "timm:rexnet_100", "timm:legacy_seresnet18", "torchvision:efficientnet_b0")),
    "torchvision:mobilenet_v3_small", "torchvision:squeezenet1_1"])
def test_nothing_is_dropped_at_random(name):
    import timm
    import torchvision.models as zoo

    images, short = torch.randn(8, 3, 40, 40), name.partition(":")[2]
    unasked = timm.create_model(short) if name.startswith("timm") else zoo.get_model(short, weights=None)
    torch.manual_seed(0)
    assert not settled(unasked, images) and settled(build(name, 7, 3), images)


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_a_torchvision_model_returns_logits_alone_while_it_trains(name):
    assert build(f"torchvision:{name}", 7, 3).train()(torch.randn(2, 3, 80, 80)).shape == (2, 7)


def test_what_is_zero_by_design_stays():
    # the gain of global response norm, which adds to an identity, is no zero-gamma
    model = build("timm:convnextv2_atto", 7, 3)
    gains = [module.weight for module in model.modules() if type(module).__name__ == "GlobalResponseNorm"]
    assert gains and not any(bool(gain.any()) for gain in gains)


def test_a_baseline_run_starts_from_a_plain_build_and_decays_every_weight_alike():
    import timm

    from autotricks.core.bundle import Bundle
    from autotricks.trial import prepare
    from tests.conftest import make_dataset

    trainer = prepare(Bundle(model="timm:test_resnet", seed=5), make_dataset(channels=3))
    torch.manual_seed(5)
    assert equal(trainer.evaluated, timm.create_model("test_resnet", num_classes=4, in_chans=3, zero_init_last=False))
    every = list(trainer.run.model.parameters())
    assert [len(group["params"]) for group in trainer.optimizer.param_groups] == [len(every)]
    assert type(trainer.optimizer) is torch.optim.SGD and trainer.average is None and trainer.factor(0.5) == 1


@pytest.mark.parametrize(("name", "plain"), [
    ("timm:test_resnet", {"zero_init_last": False}), ("torchvision:squeezenet1_1", {"dropout": 0.0}),
    *(pytest.param(*each, marks=pytest.mark.slow) for each in (
        ("timm:ghostnet_050", {"drop_rate": 0.0}), ("torchvision:mobilenet_v3_small", {"dropout": 0.0})))])
def test_a_baseline_epoch_is_a_plain_loop_parameter_by_parameter(name, plain):
    """No hidden zero-gamma, dropout, label smoothing, warm-up or exemption from decay: five steps written by hand.

    Small steps of images in plain memory order, so that rounding does not grow.
    """
    import timm
    import torchvision.models as zoo

    from autotricks.core.bundle import Bundle
    from autotricks.trial import prepare
    from autotricks.tricks.catalog import make
    from tests.conftest import make_dataset

    data = make_dataset(size=24, channels=3)
    trainer = prepare(Bundle((make("sgd", {"lr": 1e-4}),), name, epochs=1, batch_size=16, seed=5), data)
    order = torch.Generator()
    order.set_state(trainer.run.generator.get_state())
    list(trainer.epochs())
    torch.manual_seed(5)
    short = name.partition(":")[2]
    model = (timm.create_model(short, num_classes=4, **plain) if name.startswith("timm") else
             zoo.get_model(short, num_classes=4, **plain)).train()
    first = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data.mean, data.std))
    for rows in torch.randperm(90, generator=order)[:80].split(16):
        optimizer.zero_grad()
        images = (data.train.images[rows].float() / 255 - mean) / std
        torch.nn.functional.cross_entropy(model(images), data.train.targets.single[rows]).backward()
        optimizer.step()
    expected, found = model.state_dict(), trainer.evaluated.state_dict()
    assert list(found) == list(expected)
    for key, weight in model.named_parameters():
        moved = float((weight - first[key]).detach().abs().max())
        assert moved > 0 and float((found[key] - weight).detach().abs().max()) < 1e-3 * moved, key

import copy
from dataclasses import replace
from functools import partial

import pytest
import timm
import torch
from scipy import stats
from torch import nn
from torchvision.models import get_model

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.core.plan import advice, problems
from autotricks.core.run import Runtime
from autotricks.errors import BundleError, ModelError
from autotricks.models import build
from autotricks.trial import prepare
from autotricks.tricks.average.ema import Ema
from autotricks.tricks.batch.manifold_mixup import ManifoldMixup, flipped, layers
from autotricks.tricks.catalog import make
from autotricks.tricks.loss.class_weights import ClassWeights
from tests.conftest import make_batch, make_dataset, make_run, sampled


class Staged(nn.Module):
    """Three stages and a head; with `bend` nothing is linear."""

    def __init__(self, bend=False):
        super().__init__()
        torch.manual_seed(0)
        act = nn.Tanh if bend else nn.Identity
        self.layer1 = nn.Sequential(nn.Flatten(), nn.Linear(32, 8), act())
        self.layer2 = nn.Sequential(nn.Linear(8, 8), act())
        self.layer3 = nn.Sequential(nn.Linear(8, 8), act())
        self.head = nn.Linear(8, 3)

    def parts(self):
        return [self.layer1, self.layer2, self.layer3, self.head]

    def forward(self, images):
        return self.head(self.layer3(self.layer2(self.layer1(images))))


def same(batch):
    return batch


def ready(model, pieces=1, **settings):
    """A run with the model, and what mixes its batches."""
    run, trick = make_run(), ManifoldMixup(**settings)
    run.model, run.runtime = trick.model(model, run), Runtime(micro_batches=pieces)
    return run, trick.batch(same, run)


def test_the_first_is_the_last_ones_partner():
    mixed = flipped(torch.tensor([[0., 8.], [1., 4.], [4., 0.]]), torch.tensor([0.75]))
    assert mixed.tolist() == [[1.0, 6.0], [1.0, 4.0], [3.0, 2.0]]


def test_layer_zero_is_mixup_of_images():
    batch = make_batch([0, 1, 2, 0, 1])
    run, mix = ready(Staged(bend=True), deepest=0)
    plain = Staged(bend=True)
    for _ in range(10):
        mixed = mix(batch)
        keep = float(mixed.targets.shares[0, 0])
        assert torch.allclose(mixed.images, keep * batch.images + (1 - keep) * batch.images.flip(0), atol=1e-6)
        assert torch.equal(run.model(mixed.images), plain(mixed.images))


def test_a_linear_network_gives_what_mixup_gives_at_every_layer():
    model, batch, places = Staged(), make_batch([0, 1, 2, 0, 1]), set()
    with torch.no_grad():
        plain = copy.deepcopy(model)(batch.images)
        run, mix = ready(model, deepest=3)
        for _ in range(40):
            mixed = mix(batch)
            keep = float(mixed.targets.shares[0, 0])
            assert mixed.targets.shares.tolist() == [[keep, pytest.approx(1 - keep)]] * 5
            assert mixed.targets.labels.tolist() == [[0, 1], [1, 0], [2, 2], [0, 1], [1, 0]]
            assert torch.allclose(run.model(mixed.images), keep * plain + (1 - keep) * plain.flip(0), atol=1e-5)
            places.add(torch.equal(mixed.images, batch.images))
    assert places == {True, False}


def test_mixes_at_one_layer_as_spelled_out():
    model, batch, seen = Staged(bend=True), make_batch([0, 1, 2, 0]), [0, 0, 0]
    run, mix = ready(model, deepest=2)
    parts = [part.eval() for part in copy.deepcopy(model).parts()]  # without hooks and the mixing
    with torch.no_grad():
        for _ in range(600):
            mixed = mix(batch)
            keep, logits = float(mixed.targets.shares[0, 0]), run.model(mixed.images)
            fits = []
            for layer in range(3):
                hidden = batch.images
                for place, part in enumerate(parts):
                    hidden = keep * hidden + (1 - keep) * hidden.flip(0) if place == layer else hidden
                    hidden = part(hidden)
                fits.append(torch.allclose(logits, hidden, atol=1e-6))
            if 0.05 < keep < 0.95:  # else the layers are hardly told apart
                assert sum(fits) == 1
                seen[fits.index(True)] += 1
                is_mixed = not torch.equal(mixed.images, batch.images)
                assert is_mixed == fits[0]
    assert sum(seen) > 550 and stats.chisquare(seen).pvalue > 1e-3


@pytest.mark.parametrize(("shallowest", "deepest", "layer"), [(1, 1, 1), (3, 3, 3), (5, 2, 2), (4, 5, 3), (0, 0, 0)])
def test_one_layer_alone_is_mixed(shallowest, deepest, layer):
    model, batch = Staged(bend=True), make_batch([0, 1, 2, 0])
    run, mix = ready(model, shallowest=shallowest, deepest=deepest)
    parts = copy.deepcopy(model).eval().parts()
    with torch.no_grad():
        for _ in range(20):
            mixed = mix(batch)
            keep, hidden = float(mixed.targets.shares[0, 0]), batch.images
            for place, part in enumerate(parts):
                hidden = part(keep * hidden + (1 - keep) * hidden.flip(0) if place == layer else hidden)
            assert torch.allclose(run.model(mixed.images), hidden, atol=1e-6)


def test_the_layer_is_drawn_from_the_shallowest_on():
    model, batch = Staged(bend=True), make_batch([0, 1, 2, 0])
    _, mix = ready(model, shallowest=2, deepest=3)
    with torch.no_grad():
        before, seen = model.layer1(batch.images), set()
        for _ in range(40):
            mixed = mix(batch)
            assert torch.equal(mixed.images, batch.images) and torch.equal(model.layer1(mixed.images), before)
            seen.add(torch.equal(model.layer2(before), Staged(bend=True).layer2(before)))
    assert seen == {True, False}


def test_a_second_pass_mixes_alike_and_evaluation_does_not():
    run, mix = ready(Staged(bend=True), deepest=3)
    batch, plain = make_batch([0, 1, 2, 0]), Staged(bend=True)
    for _ in range(10):
        mixed = mix(batch)
        assert torch.equal(run.model(mixed.images), run.model(mixed.images))
    assert torch.equal(run.model.eval()(batch.images), plain(batch.images))
    assert torch.equal(copy.deepcopy(run.model).eval()(batch.images[:1]), plain(batch.images[:1]))


def test_a_copy_of_the_model_mixes_for_itself():
    run, mix = ready(Staged(bend=True), deepest=3)
    other, batch = copy.deepcopy(run.model), make_batch([0, 1, 2, 0])
    for _ in range(20):
        mix(batch)
        assert torch.equal(other.train()(batch.images), Staged(bend=True)(batch.images))


def test_names_of_the_state_do_not_change():
    before = build("resnet8", 3, 2).state_dict()
    run, _ = ready(build("resnet8", 3, 2))
    assert list(run.model.state_dict()) == list(before)


def test_building_it_again_does_not_mix_twice():
    model, batch = Staged(), make_batch([0, 1, 2, 0])
    plain = copy.deepcopy(model)(batch.images)
    run, _ = ready(model, deepest=3)
    mix = ManifoldMixup(deepest=3).batch(same, run)
    for _ in range(20):
        mixed = mix(batch)
        keep = float(mixed.targets.shares[0, 0])
        assert torch.allclose(run.model(mixed.images), keep * plain + (1 - keep) * plain.flip(0), atol=1e-5)


def test_partners_lie_in_one_micro_batch():
    model, batch = Staged(), make_batch([0, 1, 2, 0, 1])
    plain = copy.deepcopy(model)(batch.images).detach()
    run, mix = ready(model, pieces=2, deepest=3)
    other = torch.cat([plain[:3].flip(0), plain[3:].flip(0)])
    for _ in range(30):
        mixed = mix(batch)
        assert mixed.targets.labels.tolist() == [[0, 2], [1, 1], [2, 0], [0, 1], [1, 0]]
        logits = torch.cat([run.model(piece.images) for piece in mixed.split(2)])
        keep = float(mixed.targets.shares[0, 0])
        assert torch.allclose(logits, keep * plain + (1 - keep) * other, atol=1e-5)


def test_a_batch_cut_after_it_was_paired_does_not_fit():
    run, mix = ready(Staged())
    piece, _ = mix(make_batch([0, 1, 2, 0])).split(2)
    with pytest.raises(torch.OutOfMemoryError, match="paired images within 4; they cannot be mixed 2 at a time"):
        run.model(piece.images)


def test_finds_the_stages():
    ours = build("resnet20", 10, 3)
    assert layers(ours) == [ours.layers[2], ours.layers[5], ours.layers[8], ours.neck]
    theirs, other = build("timm:resnet18", 10, 3), build("torchvision:resnet18", 10, 3)
    assert layers(theirs) == [theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4, theirs.global_pool]
    assert layers(nn.Sequential(other))[3:] == [other.layer4, other.avgpool]


THIRDS = ["blocks.3", "blocks.7", "blocks.11"]
FAMILIES = {
    "timm:vit_tiny_patch16_224": THIRDS, "timm:deit_tiny_distilled_patch16_224": THIRDS,
    "timm:swin_tiny_patch4_window7_224": ["layers.0", "layers.1", "layers.2", "layers.3", "head.global_pool"],
    "timm:convnext_atto": ["stages.0", "stages.1", "stages.2", "stages.3", "head.global_pool"],
    "timm:efficientnet_b0": ["blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6", "global_pool"],
    "timm:regnetx_002": ["s1", "s2", "s3", "s4", "head.global_pool"],
    "timm:densenet121": ["features.denseblock1", "features.denseblock2", "features.denseblock3", "features.norm5",
                         "global_pool"],
    "timm:mobilenetv3_small_050": ["blocks.0", "blocks.1", "blocks.3", "blocks.5", "global_pool"],
    "torchvision:convnext_tiny": ["features.1", "features.3", "features.5", "features.7", "avgpool"],
    "torchvision:efficientnet_b0": ["features.1", "features.2", "features.3", "features.5", "features.8", "avgpool"],
    "torchvision:regnet_y_400mf": [f"trunk_output.block{number}" for number in (1, 2, 3, 4)] + ["avgpool"],
    "torchvision:densenet121": ["features.denseblock1", "features.denseblock2", "features.denseblock3",
                                "features.norm5"],
    "torchvision:mobilenet_v2": ["features.1", "features.3", "features.6", "features.13", "features.18"],
    "torchvision:mobilenet_v3_small": ["features.1", "features.3", "features.8", "features.12", "avgpool"],
    "torchvision:vit_b_16": [f"encoder.layers.encoder_layer_{number}" for number in (3, 7, 11)],
    "torchvision:swin_t": ["features.1", "features.3", "features.5", "features.7", "avgpool"]}


@pytest.mark.parametrize("name", sampled(FAMILIES, *(
    f"timm:{name}" for name in ("swin_tiny_patch4_window7_224", "convnext_atto", "efficientnet_b0", "regnetx_002")), *(
    f"torchvision:{name}" for name in ("convnext_tiny", "densenet121", "mobilenet_v3_small", "vit_b_16"))))
def test_finds_the_stages_of_other_families(name):
    """Where timm names the reductions of its stages, torchvision's models have theirs at the same places."""
    library, _, word = name.partition(":")
    make = timm.create_model if library == "timm" else partial(get_model, weights=None)
    with torch.device("cpu" if "regnet_y" in name else "meta"):     # no weights are drawn there
        model = make(word)
    named = {module: place for place, module in model.named_modules()}
    assert [named[layer] for layer in layers(model)] == FAMILIES[name]


@pytest.mark.parametrize("name", ["timm:test_efficientnet", "timm:test_convnext", "timm:test_vit"])
def test_mixes_after_every_stage_that_may_be_mixed(name):
    """What comes out of a stage is mixed there, whatever its layout, and nowhere above it."""
    run, trick = make_run(image_shape=(3, 160, 160)), ManifoldMixup(shallowest=2, deepest=2)
    run.model = trick.model(build(name, 3, 3), run)
    mix, batch = trick.batch(same, run), make_batch([0, 1, 2, 0], image_shape=(3, 160, 160))
    plain = copy.deepcopy(run.model).eval()
    seen = {}
    for part, model in (("mixed", run.model), ("plain", plain)):
        for number in (0, 1):
            layers(model)[number].register_forward_hook(
                lambda module, given, made, key=(part, number): seen.update({key: made.detach()}))
    for module in run.model.modules():      # statistics and drawn masks are not what is looked at
        module.training = type(module).__name__ == "_Mixing"
    mixed = mix(batch)
    keep = float(mixed.targets.shares[0, 0])
    with torch.no_grad():
        run.model(mixed.images), plain(batch.images)
    assert torch.equal(seen["mixed", 0], seen["plain", 0])
    expected = keep * seen["plain", 1] + (1 - keep) * seen["plain", 1].flip(0)
    assert torch.allclose(seen["mixed", 1], expected, atol=1e-5) and not torch.allclose(expected, seen["plain", 1])


class Pooled(nn.Module):
    """Stages by no known name before a pooling that has one."""

    def __init__(self):
        super().__init__()
        self.first, self.avgpool, self.fc = nn.Conv2d(2, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Linear(3, 3)


@pytest.mark.parametrize("model", [nn.Linear(2, 2), Pooled()])
def test_a_model_without_stages_is_refused(model):
    with pytest.raises(ModelError, match=f"manifold_mixup: {type(model).__name__} has no stages that it knows"):
        layers(model)


def test_trains_with_an_average_that_predicts_unmixed(dataset):
    trainer = prepare(Bundle((Use(ManifoldMixup()), Use(Ema())), epochs=2, batch_size=16), dataset)
    assert [metrics.finite for metrics in trainer.epochs()] == [True, True]
    images = torch.randn(7, 1, 8, 8)
    fresh = build("resnet8", 4, 1)
    fresh.load_state_dict(trainer.evaluated.state_dict())
    assert torch.equal(trainer.evaluated.eval()(images), fresh.eval()(images))


def test_what_is_inside_comes_first():
    run = make_run()
    run.model = ManifoldMixup().model(Staged(), run)
    mix = ManifoldMixup().batch(lambda batch: replace(batch, images=batch.images * 0 + 5), run)
    assert mix(make_batch([0, 1])).images.allclose(torch.tensor(5.0))


def test_cannot_be_followed_by_fine_tuning_and_is_not_advised_beside_weights():
    assert "manifold_mixup works in model, which is built once; it cannot have a window. Drop its start and stop." in (
        problems([Use(ManifoldMixup(), Window(0, 0.9))]))
    line, = advice([Use(ManifoldMixup()), Use(ClassWeights())])
    assert line.startswith("manifold_mixup beside class_weights is not advised") and "68.2 %" in line


@pytest.mark.parametrize(("settings", "said"), [
    ({"alpha": 0}, r"manifold_mixup\.alpha: 0 is not allowed; alpha must be > 0"),
    ({"shallowest": 6}, r"manifold_mixup\.shallowest: 6 is not allowed; shallowest must be >= 0 and <= 5"),
    ({"deepest": 1.5}, r"manifold_mixup\.deepest: 1\.5 is not a whole number")])
def test_refuses_what_makes_no_sense(settings, said):
    with pytest.raises(BundleError, match=said):
        ManifoldMixup(**settings)


def test_a_copy_of_the_model_mixes_nothing():
    """Its average is evaluated, and batch norm's statistics taken, in training mode, on batches that nobody paired."""
    uses = (make("lr_finder", {"iterations": 20}),
            *(make(name, {}) for name in ("manifold_mixup", "gradient_accumulation", "swa")))
    trainer = prepare(Bundle(uses, "resnet8", epochs=2, batch_size=16), make_dataset())
    copied = trainer.average.module.train()
    assert [module.keep for module in copied.modules() if type(module).__name__ == "_Mixing"] == [()]
    images = torch.randn(24, 1, 8, 8)
    assert torch.equal(copied(images), copied(images))
    assert all(metrics.finite for metrics in trainer.epochs())

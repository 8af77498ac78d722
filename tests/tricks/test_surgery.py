"""What every trick that changes the model before training owes: exported weights fit again, and a step is quick."""
from dataclasses import replace

import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.core.slots import Slot
from autotricks.models import build
from autotricks.testing import Waiting
from autotricks.trainer.pipeline import fold
from autotricks.trial import prepare
from autotricks.tricks.catalog import catalog
from tests.conftest import make_dataset, make_run

WHOLE = make_dataset(counts=(6, 3), size=32, channels=3)
DATA = replace(WHOLE, validation=WHOLE.validation.take(torch.arange(0, 20, 5)))     # one step, and little to evaluate
CHANGES = ["acnet", "batch_renorm", "cross_iteration_bn", "group_norm", "kaiming", "layer_scale", "unit_stride",
           "no_bias_before_bn", "resnet_variant", "stochastic_depth", "sync_bn", "xavier", "zero_gamma"]
BUNDLES = [(name,) for name in CHANGES] + [
    ("kaiming", "zero_gamma", "resnet_variant", "unit_stride", "no_bias_before_bn", norm, "ema", "cosine_head")
    for norm in ("acnet", "batch_renorm", "cross_iteration_bn", "group_norm")]
# A network of a library is by default for all tricks at once, with two of the norms, and for one alone; a large one
# where timm's small one, whose stem takes no variant, will not do.
LARGE = {"batch_renorm": "torchvision:resnet18", "resnet_variant": "timm:resnet18"}
QUICK = {(names, "resnet8") for names in BUNDLES} | {(("unit_stride",), "timm:test_resnet")} | {
    (names, LARGE.get(names[-3 if len(names) > 1 else 0])) for names in BUNDLES if "resnet_variant" in names}
CASES = [pytest.param(names, model, marks=[] if (names, model) in QUICK else [pytest.mark.slow]) for names in BUNDLES
         for model in ("resnet8", "timm:resnet18", "torchvision:resnet18", "timm:test_resnet")
         if model != "timm:test_resnet" or "resnet_variant" not in names]


@pytest.mark.parametrize(("names", "model"), CASES)
def test_weights_find_their_places_in_a_model_built_anew(names, model):
    bundle = Bundle(tuple(Use(catalog()[name]()) for name in names), model=model, epochs=1, batch_size=8)
    trainer = prepare(bundle, DATA)
    next(trainer.epochs())
    fresh, run = build(model, 2, 3), make_run(counts=(1, 1), image_shape=(3, 32, 32))
    again = fold(trainer.plan.once, Slot.MODEL, fresh, run)
    again.load_state_dict(trainer.evaluated.state_dict())
    images = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(again.eval()(images), trainer.evaluated.eval()(images), atol=1e-5)


@pytest.mark.parametrize("name", CHANGES)
def test_a_step_never_waits_for_the_device(name):
    trainer = prepare(Bundle((Use(catalog()[name]()),), epochs=1, batch_size=16), make_dataset())
    trainer.enter(trainer.plan.phases[0])
    rows = next(trainer.rows(1, 0))
    with Waiting() as waiting:
        trainer.pipeline.gradients(trainer.batch(rows))
    assert waiting.calls == []

"""bf16 and what autocast does in a step, float16 included; the precision of what is computed is seen by hooks."""
import pytest
import torch

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError
from autotricks.trainer.loss_scaling import SCALE
from autotricks.trial import prepare
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.gradients.sam import Sam
from autotricks.tricks.optimizer.sgd import Sgd
from autotricks.tricks.runtime.bf16 import Bf16
from autotricks.tricks.runtime.fp16 import Fp16
from tests.conftest import make_batch, make_dataset

DATA = make_dataset()


def trainer(*tricks, epochs=2, model="resnet8"):
    return prepare(Bundle(tuple(map(Use, tricks)), model=model, epochs=epochs, batch_size=16), DATA)


def first_step(made):
    """Loss and gradients of the first batch, the same whatever the precision."""
    made.enter(made.plan.phases[0])
    made.run.model.train()
    loss = made.pipeline.gradients(make_batch([0, 1, 2, 3] * 4, image_shape=(1, 8, 8)))
    return loss, torch.cat([weight.grad.flatten() for weight in made.run.model.parameters()])


@pytest.mark.parametrize(("trick", "dtype"), [(None, torch.float32), (Bf16(), torch.bfloat16), (Fp16(), torch.float16)])
def test_steps_compute_in_it_and_evaluation_in_float32(trick, dtype):
    made, seen = trainer(*filter(None, [trick])), {True: set(), False: set()}
    for layer in (made.run.model.layers[1].conv1, made.run.model.head):
        layer.register_forward_hook(lambda module, given, out: seen[module.training].add(out.dtype))
    next(made.epochs())
    assert seen == {True: {dtype}, False: {torch.float32}}
    assert {value.dtype for value in made.run.model.state_dict().values()} == {torch.float32, torch.int64}


# What a layer returns is rounded to half a unit in the last place, 2^-9 of its size in bfloat16 and 2^-12 in float16,
# and so are its inputs and weights. Over the eight layers of a ResNet-8 the logits z are then off by some 8 * 3 halves
# of their size at most; the loss moves by 2 max |dz| at most, each class's gradient of the bias by max |dz| / 2.
@pytest.mark.parametrize(("trick", "half"), [(Bf16(), 2**-9), (Fp16(), 2**-12)])
def test_losses_and_gradients_are_close_to_those_of_float32(trick, half):
    plain, cast = trainer(), trainer(trick)
    logits = []
    for made in (plain, cast):
        made.run.model.register_forward_hook(lambda module, given, out: logits.append(out.detach().float()))
    loss, gradient = first_step(plain)
    rounded, other = first_step(cast)
    assert rounded.dtype is torch.float32
    off = 24 * half * float(logits[0].abs().max())
    assert 0 < float((logits[1] - logits[0]).abs().max()) < off
    assert 0 < abs(float(rounded - loss)) < 2 * off
    assert 0 < float((other[-4:] - gradient[-4:]).abs().max()) < off / 2      # of the bias of the classifier


def test_clipping_sees_gradients_without_the_scale():
    made = trainer(Fp16(), GradientClipping(max_norm=1e6))
    _, gradient = first_step(made)
    assert made.run.memory[SCALE].item() == 65536 and float(gradient.norm()) < 100


def test_a_step_that_overflows_moves_nothing_and_halves_the_scale():
    made = trainer(Sgd(momentum=0.0, weight_decay=0.0), Fp16())
    made.run.memory[SCALE] = torch.tensor(2.0**120)
    made.run.memory["loss_scaling.steps"] = torch.tensor(0.0)
    before = {name: weight.clone() for name, weight in made.run.model.named_parameters()}
    _, gradient = first_step(made)
    made.optimizer.step()
    assert gradient.abs().max() == 0 and made.run.memory[SCALE].item() == 2.0**119
    assert all(torch.equal(weight, before[name]) for name, weight in made.run.model.named_parameters())


def test_the_scale_is_in_the_checkpoint():
    made = trainer(Fp16())
    next(made.epochs())
    made.run.memory[SCALE] = torch.tensor(128.0)
    other = trainer(Fp16())
    other.load_state_dict(made.state_dict())
    assert other.run.memory[SCALE].item() == 128 and other.run.memory["loss_scaling.steps"].item() == 5


def test_what_takes_two_gradients_refuses_a_scaled_loss():
    with pytest.raises(BundleError, match="sam excludes fp16, which provides loss scaler"):
        trainer(Sam(), Fp16())
    with pytest.raises(BundleError, match=r"both take runtime\.precision"):
        trainer(Bf16(), Fp16())

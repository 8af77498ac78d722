import pytest
import timm
import torch
from torch import nn

from autotricks.core.run import Runtime
from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.tricks.loss.l1_penalty import L1Penalty
from tests.conftest import make_batch, make_run


def network():
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, :3] = torch.tensor([2.0, -0.5, 1e-6])
        model[1].bias.fill_(9.0)
    return model


def stepped(weight, micro_batches=1, frozen=False):
    """One step on a loss of 5 that depends on nothing."""
    run = make_run()
    run.model, run.runtime = network(), Runtime(micro_batches=micro_batches)
    run.model[1].weight.requires_grad_(not frozen)
    loss = L1Penalty(weight=weight).loss(lambda logits, batch: 5 + 0 * logits.sum(1), run)
    return run.model[1], backward(loss, run)(make_batch([0, 1, 2, 0, 1]))


def test_the_loss_grows_by_the_sum_of_sizes_of_weights_alone():
    _, loss = stepped(0.1)
    assert loss.item() == pytest.approx(5 + 0.1 * 2.500001)


def test_the_gradient_is_the_weight_times_the_sign_and_0_at_0():
    layer, _ = stepped(0.1)
    assert layer.weight.grad[0, :4].tolist() == pytest.approx([0.1, -0.1, 0.1, 0.0])
    assert layer.weight.grad[1:].abs().sum() == 0 and layer.bias.grad.abs().sum() == 0


@pytest.mark.parametrize("pieces", [2, 3, 5])
def test_micro_batches_change_nothing(pieces):
    layer, loss = stepped(0.1, pieces)
    assert loss.item() == pytest.approx(5.2500001) and layer.weight.grad[0, :3].tolist() == pytest.approx(
        [0.1, -0.1, 0.1])


def test_frozen_weights_are_not_counted():
    _, loss = stepped(0.1, frozen=True)
    assert loss.item() == 5


def test_a_reward_is_refused():
    with pytest.raises(BundleError, match=r"l1_penalty\.weight: -1\.0 is not allowed; weight must be >= 0"):
        L1Penalty(weight=-1.0)


def test_of_a_vision_transformer_layers_alone_are_counted():
    """Not its class token and its table of positions, which timm does not decay either."""
    run = make_run()
    run.model = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=24, img_size=32).double()
    layers = [module for module in run.model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    with torch.no_grad():
        run.model.pos_embed.fill_(100)
        expected = sum(layer.weight.abs().sum() for layer in layers).item()
        loss = L1Penalty(weight=0.1).loss(lambda logits, batch: logits.sum(1) * 0, run)
        found = loss(torch.zeros(2, 3), make_batch([0, 1])).tolist()
    assert len(layers) == 6 and found == pytest.approx([0.1 * expected] * 2)

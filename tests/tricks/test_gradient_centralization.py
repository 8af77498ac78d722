import pytest
import timm
import torch
from torch import nn

from autotricks.errors import BundleError
from autotricks.tricks.gradients.gradient_centralization import GradientCentralization, centralized
from tests.conftest import make_batch, make_run


def shaped(**values):
    """The gradients of a small network before and after."""
    run, before = make_run(), {}
    run.model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 3))
    run.model[1].bias.requires_grad_(False)

    def filled(batch):
        generator = torch.Generator().manual_seed(0)
        for name, weight in run.model.named_parameters():
            if weight.requires_grad:
                weight.grad = torch.randn(weight.shape, generator=generator) + 1
                before[name] = weight.grad.clone()
        return torch.tensor(7.0)

    loss = GradientCentralization(**values).gradients(filled, run)(make_batch([0, 1]))
    assert loss.item() == 7.0
    return before, {name: weight.grad for name, weight in run.model.named_parameters()}


def test_by_hand():
    assert centralized(torch.tensor([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]])).tolist() == [[-2, -1, 3], [0, 0, 0]]


def test_each_filter_and_each_output_has_a_gradient_of_mean_0_and_the_rest_is_as_it_was():
    before, after = shaped()
    for name in ("0.weight", "3.weight"):
        flat = after[name].flatten(1)
        assert torch.allclose(flat.mean(1), torch.zeros(3), atol=1e-6)
        assert torch.allclose(before[name].flatten(1) - flat, before[name].flatten(1).mean(1, keepdim=True), atol=1e-6)
    for name in ("0.bias", "1.weight", "3.bias"):
        assert torch.equal(after[name], before[name])
    assert after["1.bias"] is None


def test_linear_layers_are_left_alone_where_asked():
    before, after = shaped(convolutions_only=True)
    assert torch.equal(after["3.weight"], before["3.weight"])
    assert torch.allclose(after["0.weight"].flatten(1).mean(1), torch.zeros(3), atol=1e-6)


@pytest.mark.parametrize("convolutions_only", [False, True])
def test_agrees_with_pytorch_optimizer(convolutions_only):
    from pytorch_optimizer.optimizer.gradient_centralization import centralize_gradient
    before, after = shaped(convolutions_only=convolutions_only)
    for name, gradient in before.items():
        centralize_gradient(gradient, gc_conv_only=convolutions_only)
        assert torch.allclose(after[name], gradient, atol=1e-6), name


def test_the_mean_of_each_filter_stays_under_sgd():
    weight = nn.Parameter(torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)))
    means, optimizer = weight.detach().mean((1, 2, 3)), torch.optim.SGD([weight], lr=0.5, momentum=0.9)
    for seed in range(5):
        weight.grad = centralized(torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(seed)) + 3)
        optimizer.step()
    assert torch.allclose(weight.detach().mean((1, 2, 3)), means, atol=1e-5)


def test_yes_or_no_is_all_it_takes():
    with pytest.raises(BundleError, match=r"gradient_centralization\.convolutions_only: 1 is not true or false"):
        GradientCentralization(convolutions_only=1)


def test_tokens_and_tables_of_positions_are_no_filters():
    run = make_run()
    run.model = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=24, img_size=32)
    before = {}

    def filled(batch):
        for name, weight in run.model.named_parameters():
            weight.grad = torch.rand(weight.shape)
            before[name] = weight.grad.clone()
        return torch.zeros(())
    GradientCentralization().gradients(filled, run)(None)
    same = {name for name, weight in run.model.named_parameters() if torch.equal(weight.grad, before[name])}
    assert {"cls_token", "pos_embed"} <= same
    assert {name for name, weight in run.model.named_parameters() if weight.ndim > 1} - same == {
        "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight", "blocks.0.mlp.fc1.weight",
        "blocks.0.mlp.fc2.weight", "head.weight"}

import pytest
import torch
from torch import nn

from autotricks.errors import BundleError, ModelError
from autotricks.tricks.gradients.adaptive_gradient_clipping import AdaptiveGradientClipping, clipped, lengths
from tests.conftest import make_batch, make_run


def test_lengths_are_of_units():
    assert lengths(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist() == [[5.0], [2.0]]
    assert lengths(torch.tensor([3.0, 4.0])).item() == 5.0 and lengths(torch.tensor(-2.0)).item() == 2.0
    filters = torch.ones(2, 4, 3, 3) * torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    assert lengths(filters).flatten().tolist() == [6.0, 12.0] and lengths(filters).shape == (2, 1, 1, 1)


def test_each_unit_is_clipped_to_its_own_weights():
    weight = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])  # 5, 5 and, at least, 0.001 long
    gradient = torch.tensor([[0.0, 2.0], [0.3, 0.4], [6.0, 8.0]])
    found = clipped(gradient, weight, 0.1)
    assert found[0].tolist() == pytest.approx([0.0, 0.5])
    assert found[1].tolist() == pytest.approx([0.3, 0.4])    # exactly as long as it may be
    assert found[2].tolist() == pytest.approx([6e-5, 8e-5])


def network(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 6), nn.Linear(6, 3))
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight) * 10 ** torch.randint(-4, 2, (len(weight),)).view(
            -1, *[1] * (weight.ndim - 1)).float()
    model[1].weight.grad = None
    return model


def test_agrees_with_timm_but_for_the_classifier():
    from timm.utils.agc import adaptive_clip_grad
    mine, theirs = network(), network()
    run = make_run()
    run.model = mine
    loss = AdaptiveGradientClipping(ratio=0.02).gradients(lambda batch: torch.tensor(7.0), run)(make_batch([0]))
    adaptive_clip_grad(list(theirs[:4].parameters()), 0.02)
    touched = 0
    for ours, weight, before in zip(mine.parameters(), theirs.parameters(), network().parameters(), strict=True):
        if weight.grad is None:
            assert ours.grad is None
            continue
        assert torch.allclose(ours.grad, weight.grad, rtol=1e-5, atol=0)
        touched += not torch.equal(before.grad, ours.grad)
    assert loss.item() == 7.0 and touched == 5  # the classifier's two are as they were
    assert torch.equal(mine[4].weight.grad, network()[4].weight.grad)


@pytest.mark.parametrize("seed", range(3))
def test_no_unit_is_longer_than_allowed(seed):
    model = network(seed)
    for weight in list(model.parameters())[:-2]:
        if weight.grad is not None:
            after = clipped(weight.grad, weight.detach(), 0.05)
            assert (lengths(after) <= 0.05 * lengths(weight.detach()).clamp(min=1e-3) * (1 + 1e-5)).all()


def test_a_model_without_classifier_is_refused():
    run = make_run()
    run.model = nn.Sequential(nn.Conv2d(2, 3, 1))
    with pytest.raises(ModelError, match="has no layer inside it"):
        AdaptiveGradientClipping().gradients(lambda batch: torch.tensor(0.0), run)


def test_a_ratio_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"adaptive_gradient_clipping\.ratio: 0\.0 is not allowed; ratio must be > 0"):
        AdaptiveGradientClipping(ratio=0.0)

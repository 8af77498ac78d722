import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.nn.fusing import fuse
from autotricks.trial import prepare
from autotricks.tricks.model.cross_iteration_bn import CrossIterationBn, pooled
from tests.conftest import built, make_dataset, make_run


def made(window, burn_in=0.0, norm=None, groups=1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, groups=groups), norm or nn.BatchNorm2d(4)).double()
    return CrossIterationBn(window, burn_in).model(model, make_run(image_shape=(2, 6, 6)))


def images(seed, count=3):
    return torch.randn(count, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + seed


def test_pooled_by_hand():
    means, squares = torch.tensor([[1., 1.], [3., 2.], [9., 9.]]), torch.tensor([[2., 2.], [11., 3.], [99., 99.]])
    mean, variance = pooled(means, squares, torch.tensor([True, True, False]))
    # the second batch has variance 11 - 9 = 2 in the first channel and 3 - 4 < 0 in the second; the third is not known
    assert mean.tolist() == [2, 1] and variance.tolist() == [(2 + 11) / 2 - 2 ** 2, 2 - 1 ** 2]


def test_a_window_of_one_is_batch_norm():
    model, given, slope = made(1), images(1).requires_grad_(), images(2).repeat(1, 2, 1, 1)
    plain = nn.Sequential(copy.deepcopy(model[0]), fuse(model[1])).train()
    other = given.detach().clone().requires_grad_()
    left, right = model(given), plain(other)
    assert torch.allclose(left, right, atol=1e-10)
    (left * slope).sum().backward(), (right * slope).sum().backward()
    assert torch.allclose(given.grad, other.grad, atol=1e-10)
    assert torch.allclose(model[0].weight.grad, plain[0].weight.grad, atol=1e-10)
    assert torch.allclose(model[1].running_mean, plain[1].running_mean)
    assert torch.allclose(model[1].running_var, plain[1].running_var)
    assert int(model[1].num_batches_tracked) == 1


@pytest.mark.parametrize(("window", "seen"), [(2, (2, 3)), (3, (1, 2, 3)), (8, (1, 2, 3))])
def test_without_a_change_of_weights_it_is_batch_norm_over_the_batches_together(window, seen):
    model = made(window)
    for seed in (1, 2):
        model(images(seed))
    together = F.batch_norm(model[0](torch.cat([images(seed) for seed in seen])), None, None, training=True)
    assert torch.allclose(model(images(3)), together[-3:], atol=1e-10)


@pytest.mark.parametrize("groups", [1, 2])
def test_old_statistics_are_moved_along_with_the_weights(groups):
    model = made(2, groups=groups)
    model(images(1))
    before, change = model[0].weight.detach().clone(), torch.randn(4, 2 // groups, 3, 3).double()
    for size in (1.0, 1e-3):
        with torch.no_grad():
            model[0].weight.copy_(before + size * change)
            outputs = model[0](images(1))
            true = outputs.mean((0, 2, 3)), outputs.square().mean((0, 2, 3))
            found = model[1].offsets[:, 0] + (model[1].slopes[:, 0] * model[0].weight.flatten(1)).sum(2)
        assert torch.allclose(found[0], true[0], atol=1e-10)    # means are linear in the weights: exact
        # mean squares are quadratic: what is missing is the mean square of what the change of weights adds
        missing = F.conv2d(images(1), size * change, padding=1, groups=groups).square().mean((0, 2, 3))
        assert torch.allclose(true[1] - found[1], missing, atol=1e-10) and bool((missing > 1e-7 * size ** 2).all())


def test_the_gradient_is_that_of_the_present_batch():
    model = made(2)
    old = model[0](images(1)).detach()
    model(images(1))
    present = images(2).requires_grad_()
    slope = torch.randn(3, 4, 6, 6).double()
    (model(present) * slope).sum().backward()
    other = images(2).requires_grad_()
    both = torch.cat([model[0](other), old])
    (F.batch_norm(both, None, None, training=True)[:3] * slope).sum().backward()
    assert torch.allclose(present.grad, other.grad, atol=1e-10)


def test_until_burn_in_it_is_batch_norm():
    model = made(3, burn_in=0.1)    # of 20 steps: 2
    assert make_run().steps == 20
    for seed in (1, 2):
        alone = F.batch_norm(model[0](images(seed)), None, None, training=True)
        assert torch.allclose(model(images(seed)), alone, atol=1e-10)
    alone = F.batch_norm(model[0](images(3)), None, None, training=True)
    assert not torch.allclose(model(images(3)), alone, atol=1e-3)


def authors(passes, window, burn_in):
    """Mean and variance by which the authors normalize each pass, from the output and weights of a convolution.

    After mmdet/models/utils/CBN.py of https://github.com/Howal/Cross-iterationBatchNorm, with two_stage; what is noted
    is all that it has of earlier passes, and only passes after the burn-in are.
    """
    noted, found = [], []
    for count, (outputs, weight) in enumerate(passes, 1):
        y = outputs.transpose(0, 1).flatten(1)
        if count <= burn_in:
            found.append((y.mean(1), y.var(1)))
            continue
        now = [y.mean(1), y.square().mean(1)]
        slopes = [torch.autograd.grad(value.sum(), weight, retain_graph=True)[0] for value in now]
        both = [torch.stack([now[i], *(old[i] + (old[2 + i] * (weight.data - old[4])).sum((1, 2, 3)) for old in noted)])
                for i in (0, 1)]
        used = both[1] - both[0].square() >= 0
        mean, square = ((part * used).sum(0) / used.sum(0) for part in both)
        found.append((mean, square - mean.square()))
        noted = [[*(value.detach() for value in now), *slopes, weight.detach().clone()], *noted][:window - 1]
    return found


@pytest.mark.parametrize(("window", "burn_in"), [(3, 0), (4, 3)])
def test_statistics_are_those_of_the_authors_code_once_its_window_is_full(window, burn_in):
    """Its window fills after the burn-in only, ours before: from then on they are one."""
    model = made(window, burn_in=burn_in / 20)
    passes, ours = [], []
    for seed in range(burn_in + window + 2):
        with torch.no_grad():
            model[0].weight += 0.03 * torch.randn(model[0].weight.shape, dtype=torch.float64)
        weight = model[0].weight.detach().clone().requires_grad_()
        outputs = F.conv2d(images(seed), weight, model[0].bias, padding=1)
        passes.append((outputs, weight))
        ours.append((model(images(seed)).detach(), outputs.detach()))
    theirs = authors(passes, window, burn_in)
    eps = model[1].eps
    each = (1, -1, 1, 1)
    full = burn_in + window - 1
    for (normal, outputs), (mean, variance) in list(zip(ours, theirs, strict=True))[0 if not burn_in else full:]:
        expected = (outputs - mean.view(each)) / (variance + eps).sqrt().view(each)     # their `out_p`
        assert torch.allclose(normal, expected, atol=1e-9)
        plain = (outputs - mean.view(each)) / (variance.sqrt() + eps).view(each)
        assert torch.allclose(normal, plain, rtol=1e-4, atol=1e-4) and not torch.equal(normal, plain)


def test_buffers_are_changed_in_place_and_not_at_all_without_gradients():
    model = made(3)
    before = {name: (value.data_ptr(), value.clone()) for name, value in model[1].named_buffers()}
    model.eval()(images(1))
    assert all(torch.equal(value, before[name][1]) for name, value in model[1].named_buffers())
    with torch.no_grad():
        model.train()(images(1))
    assert not model[1].slopes.any() and not model[1].noted and model[1].running_mean.any()
    model(images(1))
    assert model[1].slopes.any() and int(model[1].noted) == 1
    assert all(value.data_ptr() == before[name][0] for name, value in model[1].named_buffers())


def test_a_copy_reads_the_weights_of_its_own_convolution():
    model = made(2)
    model(images(1))
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].weight += 1
    assert torch.equal(twin[1]._layer[0].weight, twin[0].weight)
    assert not torch.equal(twin[1]._layer[0].weight, model[0].weight)
    assert [name for name in model.state_dict() if "_layer" in name] == []


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", pytest.param(
    "torchvision:resnet18", marks=pytest.mark.slow)])
def test_evaluates_as_batch_norm_and_fuses_to_it(name):
    torch.manual_seed(0)
    plain = built(name, 5, 3).eval()
    model = CrossIterationBn(burn_in=0.0).model(copy.deepcopy(plain), make_run(image_shape=(3, 32, 32)))
    given = torch.randn(2, 3, 32, 32)
    assert torch.equal(model.eval()(given), plain(given))
    model.train()(given), model(given * 2)
    fused = fuse(model)
    assert set(fused.state_dict()) == set(plain.state_dict())
    assert torch.equal(fused(given), model.eval()(given)) and not torch.allclose(fused(given), plain(given))


def test_trains_on_large_images_and_learns():
    # from 32 pixels on weights are laid out as NHWC, which is not for the five dimensions of their slopes
    bundle = Bundle((Use(CrossIterationBn(window=3, burn_in=0.0)),), epochs=6, batch_size=8)
    trainer = prepare(bundle, make_dataset(counts=(24, 24), size=32))
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9


def test_bad_values_and_models():
    with pytest.raises(BundleError, match=r"cross_iteration_bn\.window: 0 is not allowed; window must be 1 to 64"):
        CrossIterationBn(0)
    with pytest.raises(ModelError, match=r"cross_iteration_bn: Sequential has no convolution whose output") as caught:
        CrossIterationBn().model(nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)), make_run())
    assert len(caught.value.problems) == 1

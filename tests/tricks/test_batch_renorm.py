import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.errors import BundleError, ModelError
from autotricks.nn.fusing import fuse
from autotricks.trial import prepare
from autotricks.tricks.model.batch_renorm import BatchRenorm, corrections
from tests.conftest import built, make_dataset, make_run

DIMS = (0, 2, 3)


def norm(seed=0, channels=3):
    torch.manual_seed(seed)
    plain = nn.BatchNorm2d(channels).double()
    for tensor, low, high in ((plain.weight, .5, 2), (plain.bias, -1, 1), (plain.running_mean, -1, 1),
                              (plain.running_var, .5, 2)):
        nn.init.uniform_(tensor, low, high)
    return plain


def renorm(r_max, d_max, plain, steps_done=10**6):
    made = BatchRenorm(r_max, d_max).model(nn.Sequential(copy.deepcopy(plain)), make_run())[0]
    made.num_batches_tracked.fill_(steps_done)
    return made


def test_corrections_by_hand():
    r, d = corrections((torch.tensor([3., 0., 1., -9.]), torch.tensor([2., 9., .1, 4.])),
                       (torch.tensor([1., 1., 1., 1.]), torch.tensor([4., 3., 1., 4.])),
                       torch.tensor(2.), torch.tensor(0.4))
    assert r.tolist() == pytest.approx([.5, 2, .5, 1])      # 3 and .1 are beyond 2 and 1/2
    assert d.tolist() == pytest.approx([.4, -1 / 3, 0, -.4])


def test_with_bounds_shut_it_is_batch_norm_gradients_included():
    plain = norm()
    made = renorm(1.0, 0.0, plain)
    images, slope = torch.randn(4, 3, 5, 5, dtype=torch.float64) * 3 + 1, torch.randn(4, 3, 5, 5, dtype=torch.float64)
    left, right = (images.clone().requires_grad_() for _ in range(2))
    ours, theirs = made(left), plain(right)
    assert torch.allclose(ours, theirs, atol=1e-12)
    (ours * slope).sum().backward(), (theirs * slope).sum().backward()
    assert torch.allclose(left.grad, right.grad, atol=1e-12)
    assert torch.allclose(made.weight.grad, plain.weight.grad) and torch.allclose(made.bias.grad, plain.bias.grad)


def test_with_bounds_open_it_computes_what_evaluation_does():
    plain = norm()
    made, images = renorm(1e9, 1e9, plain), torch.randn(4, 3, 5, 5, dtype=torch.float64) * 3 + 1
    assert torch.allclose(made(images), plain.eval()(images), atol=1e-10)


def test_within_bounds_by_the_formula_with_no_gradient_through_the_corrections():
    plain, slope = norm(), torch.randn(4, 3, 5, 5, dtype=torch.float64)
    made, images = renorm(1.1, 0.2, plain), torch.randn(4, 3, 5, 5, dtype=torch.float64) * 1.2
    left, right, weight = images.clone().requires_grad_(), images.clone().requires_grad_(), plain.weight
    std = (right.var(DIMS, correction=0) + plain.eps).sqrt()
    running_std = (plain.running_var + plain.eps).sqrt()
    r = (std / running_std).detach().clamp(1 / 1.1, 1.1)
    d = ((right.mean(DIMS) - plain.running_mean) / running_std).detach().clamp(-0.2, 0.2)
    assert ((r > 1 / 1.1) & (r < 1.1)).any() or (d.abs() < 0.2).any()
    each = (1, 3, 1, 1)
    normal = (right - right.mean(DIMS).view(each)) / std.view(each) * r.view(each) + d.view(each)
    expected = normal * weight.view(each) + plain.bias.view(each)
    found = made(left)
    assert torch.allclose(found, expected, atol=1e-12)
    (found * slope).sum().backward(), (expected * slope).sum().backward()
    assert torch.allclose(left.grad, right.grad, atol=1e-12)
    assert torch.allclose(made.weight.grad, weight.grad) and torch.allclose(made.bias.grad, plain.bias.grad)


def test_running_statistics_follow_mean_and_biased_variance():
    plain, images = norm(), torch.randn(4, 3, 5, 5, dtype=torch.float64)
    made, images = renorm(3.0, 5.0, plain, steps_done=7), images
    made(images)
    assert torch.allclose(made.running_mean, .9 * plain.running_mean + .1 * images.mean(DIMS))
    assert torch.allclose(made.running_var, .9 * plain.running_var + .1 * images.var(DIMS, correction=0))
    assert int(made.num_batches_tracked) == 8
    made.momentum = None    # the plain mean of all batches, as torch's update_bn asks for
    made.num_batches_tracked.zero_(), made(images), made(images + 2)
    assert torch.allclose(made.running_mean, images.mean(DIMS) + 1)


def test_a_batch_alike_the_running_statistics_is_corrected_by_nothing():
    """Algorithm 1 of the paper divides both by n: with torch's n / (n - 1) r would be sqrt(4 / 3) for four values."""
    plain, images = nn.BatchNorm2d(3).double(), torch.randn(1, 3, 2, 2, dtype=torch.float64)
    made = renorm(1e9, 1e9, plain)
    made.momentum = 1.0
    made(images)            # the running statistics are those of this batch now
    assert torch.allclose(made(images), F.batch_norm(images, None, None, None, None, True, 0.0, plain.eps), atol=1e-12)
    torchs = copy.deepcopy(plain)
    torchs.momentum = 1.0
    torchs(images)
    assert torch.allclose(torchs.running_var, made.running_var * 4 / 3)


@pytest.mark.parametrize(("done", "r_max", "d_max"), [(0, 1, 0), (20, 1, 0), (90, 2, 6 * 70 / 80), (100, 1 + 8 / 7, 6),
                                                      (160, 3, 6), (999, 3, 6)])
def test_bounds_open_as_in_the_paper(done, r_max, d_max):
    # of 40,000 steps: 5,000 shut, d_max after 25,000, r_max after 40,000; here of 160, which are 0.4 of 400 steps
    run = make_run(counts=(20, 20), batch_size=4, epochs=40)
    assert run.steps == 400
    made = BatchRenorm(3.0, 6.0, 0.4).model(nn.Sequential(nn.BatchNorm2d(2)), run)[0]
    made.num_batches_tracked.fill_(done)
    assert [float(each) for each in made._limits()] == pytest.approx([r_max, d_max], rel=1e-6)


@pytest.mark.parametrize("name", ["resnet8", "timm:test_resnet", "timm:test_efficientnet", "torchvision:resnet18"])
def test_evaluates_as_batch_norm_and_fuses_to_it(name):
    torch.manual_seed(0)
    plain = built(name, 5, 3).eval()
    model, images = BatchRenorm().model(copy.deepcopy(plain), make_run()).eval(), torch.randn(2, 3, 32, 32)
    assert torch.allclose(model(images), plain(images), atol=1e-6)
    model.train()(images * 2)
    fused = fuse(model)
    assert {type(module) for module in fused.modules() if isinstance(module, nn.BatchNorm2d)} == {nn.BatchNorm2d}
    assert torch.equal(fused(images), model.eval()(images)) and not torch.allclose(fused(images), plain(images))


def test_trains_with_two_images_a_batch():
    trainer = prepare(Bundle((Use(BatchRenorm()),), epochs=1, batch_size=2), make_dataset())
    assert math.isfinite(next(trainer.epochs()).values["val/loss"])
    assert int(trainer.run.model.bn.num_batches_tracked) == 45


def test_does_not_touch_frozen_statistics():
    plain = norm()
    made, images = renorm(3.0, 5.0, plain).eval(), torch.randn(4, 3, 5, 5, dtype=torch.float64)
    expected = F.batch_norm(images, plain.running_mean, plain.running_var, plain.weight, plain.bias)
    assert torch.allclose(made(images), expected) and torch.equal(made.running_mean, plain.running_mean)


def test_bad_values_and_models():
    with pytest.raises(BundleError, match=r"batch_renorm\.r_max: 0\.5 is not allowed; r_max must be >= 1"):
        BatchRenorm(0.5)
    with pytest.raises(ModelError, match=r"batch_renorm: SqueezeNet has no batch norm.* drop batch_renorm\.") as caught:
        BatchRenorm().model(built("torchvision:squeezenet1_1", 5, 3), make_run())
    assert len(caught.value.problems) == 1

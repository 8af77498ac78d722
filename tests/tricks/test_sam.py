import pytest
import torch
from torch import nn

from autotricks.core.bundle import Bundle, Use
from autotricks.core.run import Runtime
from autotricks.core.targets import Targets
from autotricks.core.traits import Trait
from autotricks.errors import BundleError
from autotricks.trainer.step import backward
from autotricks.trial import prepare
from autotricks.tricks.gradients.gradient_clipping import GradientClipping
from autotricks.tricks.gradients.sam import Sam
from autotricks.tricks.model.dropout import Dropout
from tests.conftest import make_batch, make_dataset, make_run
from tests.core.slopes import CURVATURE, START, taken


def test_the_gradient_is_that_at_the_worst_point_of_a_quadratic():
    run, loss = taken(Sam(rho=0.3))
    slope = CURVATURE @ START
    worst = START + 0.3 * slope / slope.norm()
    assert torch.allclose(run.model.seen[1], worst) and torch.allclose(run.model.slope, CURVATURE @ worst)
    assert torch.equal(run.model.point, START)
    assert loss.item() == pytest.approx(float(START @ slope) / 2)


@pytest.mark.parametrize("rho", [0.01, 0.2, 5.0])
def test_the_step_uphill_has_the_length_asked_for(rho):
    run, _ = taken(Sam(rho=rho))
    assert (run.model.seen[1] - START).norm().item() == pytest.approx(rho)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))


def run_of(model, micro_batches=1):
    run = make_run()
    run.model, run.runtime = model.train(), Runtime(micro_batches=micro_batches)
    return run


def cross_entropy(logits, batch):
    return nn.functional.cross_entropy(logits, batch.targets.labels[:, 0], reduction="none")


def test_agrees_with_pytorch_optimizer():
    from pytorch_optimizer import SAM
    model, batch = network()[:2].append(nn.Linear(8, 3)), make_batch([0, 1, 2, 1])
    run = run_of(model)
    Sam(rho=0.1).gradients(backward(cross_entropy, run), run)(batch)
    ours = [weight.detach() - weight.grad for weight in model.parameters()]
    theirs = SAM(model.parameters(), torch.optim.SGD, rho=0.1, lr=1.0)

    def closure():
        theirs.zero_grad()
        loss = cross_entropy(model(batch.images), batch).mean()
        loss.backward()
        return loss
    closure()
    theirs.step(closure)
    for weight, expected in zip(model.parameters(), ours, strict=True):
        assert torch.allclose(weight, expected, atol=1e-6)


def test_batch_norm_moves_as_in_one_plain_pass():
    batch, states = make_batch([0, 1, 2, 1]), []
    for trick in (None, Sam(rho=0.5)):
        run = run_of(network())
        plain = backward(cross_entropy, run)
        torch.manual_seed(3)
        (trick.gradients(plain, run) if trick else plain)(batch)
        states.append({name: value.clone() for name, value in run.model.named_buffers()})
    assert states[0]["2.num_batches_tracked"] == 1 and states[0]["2.running_mean"].abs().sum() > 0
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_dropout_is_the_same_in_both_passes_so_that_a_step_of_no_length_changes_nothing():
    batch, found = make_batch([0, 1, 2, 1]), []
    for trick in (None, Sam(rho=1e-30)):
        run = run_of(network())
        plain = backward(cross_entropy, run)
        torch.manual_seed(3)
        (trick.gradients(plain, run) if trick else plain)(batch)
        found.append(([weight.grad.clone() for weight in run.model.parameters()], torch.rand(1)))
    assert all(torch.equal(left, right) for left, right in zip(found[0][0], found[1][0], strict=True))
    assert torch.equal(found[0][1], found[1][1])  # and as much was drawn


def test_micro_batches_change_nothing():
    # in float64: the two ways to sum differ in their last digits
    batch, found = make_batch([0, 1, 2, 1, 0, 2]), []
    torch.manual_seed(0)
    state = nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.Tanh(), nn.Linear(8, 3)).double().state_dict()
    batch = type(batch)(batch.images.double(), Targets(batch.targets.labels, batch.targets.shares.double()), batch.rows)
    for pieces in (1, 3):
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        model.load_state_dict(state)
        run = run_of(model, pieces)
        Sam(rho=0.2).gradients(backward(cross_entropy, run), run)(batch)
        found.append([weight.grad for weight in model.parameters()])
    assert all(torch.allclose(left, right, atol=1e-12) for left, right in zip(*found, strict=True))


def test_memory_that_runs_out_at_the_worst_point_leaves_the_weights_where_they_were():
    run, calls = run_of(network()), []
    before = {name: value.clone() for name, value in run.model.state_dict().items()}

    def hungry(batch):
        calls.append(batch)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("simulated")
        for weight in run.model.parameters():
            weight.grad = torch.ones_like(weight)
        return torch.tensor(0.0)

    with pytest.raises(torch.OutOfMemoryError):
        Sam().gradients(hungry, run)(make_batch([0, 1]))
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())


def test_clipping_sees_what_comes_out():
    bundle = Bundle((Use(Sam(rho=0.1)), Use(GradientClipping(max_norm=1e-3))), epochs=1, batch_size=16)
    trainer = prepare(bundle, make_dataset())
    trainer.enter(trainer.plan.phases[0])
    trainer.pipeline.gradients(trainer.batch(torch.arange(16)))
    assert torch.nn.utils.get_total_norm([weight.grad for weight in trainer.run.model.parameters()]) <= 1.001e-3


def test_learns_with_dropout():
    trainer = prepare(Bundle((Use(Sam()), Use(Dropout(0.2))), epochs=4, batch_size=16), make_dataset())
    assert [metrics.values["val/accuracy"] for metrics in trainer.epochs()][-1] > 0.9


def test_refuses_a_loss_scaler_and_a_radius_of_zero():
    assert Trait.LOSS_SCALER in Sam.excludes
    with pytest.raises(BundleError, match=r"sam\.rho: 0\.0 is not allowed; rho must be > 0"):
        Sam(rho=0.0)

import pytest
import torch

from autotricks.core.bundle import Bundle, Use, Window
from autotricks.errors import BundleError
from autotricks.trial import prepare
from autotricks.tricks.gradients.linear_probe import LinearProbe
from autotricks.tricks.loss.l2_sp import L2Sp, half_squared
from autotricks.tricks.model.pretrained import Pretrained
from autotricks.tricks.optimizer.sgd import Sgd
from tests.conftest import make_batch, make_dataset, make_run

DATA = make_dataset()
PLAIN = Sgd(lr=0.05, momentum=0.0, weight_decay=0.0)


def trainer(*tricks, window=Window(), epochs=2):
    """Tricks beside weights of a file, of which the first may have a window."""
    uses = [Use(trick, Window() if place else window) for place, trick in enumerate(tricks)]
    return prepare(Bundle((*uses, Use(Pretrained())), model="resnet8", epochs=epochs, batch_size=16), DATA)


def below():
    """A run whose model is a layer, then a classifier of three classes."""
    run = make_run()
    run.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 4), torch.nn.Linear(4, 3))
    return run


def test_half_the_square_and_its_gradient():
    one, other = torch.tensor([3.0, 4.0], requires_grad=True), torch.zeros(2, 2, requires_grad=True)
    half_squared([one, other]).backward()
    assert half_squared([one, other]).item() == 12.5
    assert one.grad.tolist() == [3, 4] and other.grad.tolist() == [[0, 0], [0, 0]]   # where no length has a slope


def test_the_penalty_by_hand():
    run, trick = below(), L2Sp(alpha=0.1, beta=0.2)
    trick.enter(run)
    with torch.no_grad():
        run.model[1].weight += 0.5      # 128 weights
        run.model[1].bias -= 1          # 4
        run.model[2].weight.fill_(2)    # 12
        run.model[2].bias.fill_(1)      # 3
    loss = trick.loss(lambda logits, batch: torch.tensor([1.0, 2.0]), run)
    penalty = 0.05 * (128 * 0.25 + 4) + 0.1 * (12 * 4 + 3)
    found = loss(torch.zeros(2, 3), make_batch([0, 1]))
    assert found.tolist() == pytest.approx([1 + penalty, 2 + penalty])


def test_the_gradient_is_alpha_times_the_way_back():
    run, trick = below(), L2Sp(alpha=0.1, beta=0.2)
    trick.enter(run)
    with torch.no_grad():
        run.model[1].weight[0] += torch.arange(32.0)
    loss = trick.loss(lambda logits, batch: logits.sum(1) * 0, run)
    loss(torch.zeros(2, 3), make_batch([0, 1])).mean().backward()
    torch.testing.assert_close(run.model[1].weight.grad[0], 0.1 * torch.arange(32.0))
    assert not run.model[1].weight.grad[1:].any() and not run.model[1].bias.grad.any()
    torch.testing.assert_close(run.model[2].weight.grad, 0.2 * run.model[2].weight)


def test_of_nothing_is_plain_training_and_of_zero_starts_is_weight_decay():
    plain, none = trainer(PLAIN), trainer(L2Sp(0.0, 0.0), PLAIN)
    decayed, held = trainer(Sgd(lr=0.05, momentum=0.0, weight_decay=0.02)), trainer(L2Sp(0.02, 0.02), PLAIN)
    held.enter(held.plan.phases[0])
    for start in held.run.memory.values():
        start.zero_()
    for made in (plain, none, decayed, held):
        list(made.epochs())
    for one, other in ((plain, none), (decayed, held)):
        for name, value in one.run.model.state_dict().items():
            torch.testing.assert_close(other.run.model.state_dict()[name], value, rtol=1e-3, atol=1e-5)


def test_a_strong_hold_keeps_weights_where_they_were():
    far = []
    for alpha in (0.0, 1.0, 10.0):
        made = trainer(L2Sp(alpha, 0.0), PLAIN, epochs=4)
        start = [weight.detach().clone() for weight in made.run.model.layers.parameters()]
        list(made.epochs())
        far.append(sum(float((weight - before).detach().square().sum())
                       for weight, before in zip(made.run.model.layers.parameters(), start, strict=True)))
    assert far[0] > 1.5 * far[1] > 6 * far[2] > 0


def test_a_window_holds_what_is_there_when_it_opens_and_forgets_it():
    made = trainer(L2Sp(), PLAIN, window=Window(0.5, 1.0))
    steps = made.epochs()
    next(steps)
    assert made.run.memory == {}
    before = {name: value.clone() for name, value in made.run.model.named_parameters()}
    made.enter(made.plan.phases[1])
    held = {name.removeprefix("l2_sp."): value for name, value in made.run.memory.items()}
    assert held.keys() == before.keys() - {"head.weight", "head.bias"}
    assert all(torch.equal(value, before[name]) for name, value in held.items())
    list(steps)
    assert made.run.memory == {}


def test_beside_frozen_weights_the_head_alone_is_pulled():
    made = trainer(L2Sp(1.0, 1.0), LinearProbe(), PLAIN)
    made.first_step()()
    assert {name for name, weight in made.run.model.named_parameters() if weight.grad is not None} == {
        "head.weight", "head.bias"}


def test_needs_weights_to_start_from():
    with pytest.raises(BundleError, match="l2_sp requires a trick that provides pretrained"):
        prepare(Bundle((Use(L2Sp()),), model="resnet8", epochs=1, batch_size=16), DATA)


def test_a_pull_away_is_refused():
    with pytest.raises(BundleError, match=r"l2_sp\.alpha: -1 is not allowed; alpha must be >= 0"):
        L2Sp(alpha=-1)

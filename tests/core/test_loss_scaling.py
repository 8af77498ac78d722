import pytest
import torch

from autotricks.trainer.loss_scaling import PATIENCE, SCALE, STEPS, moved, scale, unscale
from tests.conftest import make_run


def of(scale, steps, finite):
    return tuple(value.item() for value in moved(torch.tensor(scale), torch.tensor(steps), torch.tensor(finite)))


def test_the_scale_moves_as_the_paper_says():
    assert of(8.0, 5.0, True) == (8, 6)
    assert of(8.0, 5.0, False) == (4, 0)
    assert of(8.0, PATIENCE - 1.0, True) == (16, 0)
    assert of(8.0, PATIENCE - 1.0, False) == (4, 0)


def test_it_moves_as_that_of_torch():
    theirs = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=PATIENCE)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    now, steps = torch.tensor(64.0), torch.tensor(float(PATIENCE - 3))
    theirs.scale(weight.sum())
    theirs._growth_tracker.fill_(PATIENCE - 3)
    for finite in (True, True, True, False, True, False, False):
        weight.grad = torch.tensor([1.0 if finite else torch.inf])
        theirs.step(optimizer)
        theirs.update()
        now, steps = moved(now, steps, torch.tensor(finite))
        assert (now.item(), steps.item()) == (theirs.get_scale(), theirs._growth_tracker.item())


def weights(*gradients):
    made = [torch.nn.Parameter(torch.zeros(2)) for _ in gradients]
    for weight, gradient in zip(made, gradients):
        weight.grad = None if gradient is None else torch.tensor(gradient)
    return made


def test_gradients_are_divided_by_the_scale():
    run = make_run()
    assert scale(run).item() == 65536
    made = weights([65536.0, -32768.0], None, [0.0, 6.5536])
    unscale(made, run)
    assert made[0].grad.tolist() == [1, -0.5] and made[1].grad is None
    assert made[2].grad.tolist() == pytest.approx([0, 1e-4])
    assert (run.memory[SCALE].item(), run.memory[STEPS].item()) == (65536, 1)


@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_one_that_overflows_makes_all_zero_and_halves_the_scale(bad):
    run = make_run()
    made = weights([1.0, 2.0], [3.0, bad])
    unscale(made, run)
    assert [weight.grad.tolist() for weight in made] == [[0, 0], [0, 0]]
    assert run.memory[SCALE].item() == 32768

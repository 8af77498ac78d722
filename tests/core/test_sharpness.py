import pytest
import torch
from torch import nn

from autotricks.functional.sharpness import displaced, replayed, twice, uphill
from tests.conftest import make_batch, make_run

from .slopes import CURVATURE, START, bowl, steep


def test_uphill_is_the_gradient_at_another_length():
    left, right = uphill([torch.tensor([3.0, 4.0]), torch.tensor([12.0])], 26.0)  # length 13
    assert left.tolist() == pytest.approx([6.0, 8.0]) and right.tolist() == pytest.approx([24.0])


def test_uphill_of_nothing_is_nowhere():
    assert uphill([torch.zeros(3)], 0.5)[0].tolist() == [0, 0, 0]


def test_weights_and_buffers_come_back_bit_for_bit():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = list(model.parameters())
    with displaced(model, weights, [torch.full_like(weight, 1 / 3) for weight in weights]):
        assert torch.allclose(model[0].weight, before["0.weight"] + 1 / 3)
        model(torch.randn(4, 3))
        assert model[1].num_batches_tracked == 1
    assert [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])] == []


def test_weights_come_back_when_memory_runs_out():
    run = bowl()
    with pytest.raises(torch.OutOfMemoryError), displaced(run.model, [run.model.first], [torch.ones(2)]):
        raise torch.OutOfMemoryError("simulated")
    assert torch.equal(run.model.point, START)


def test_random_numbers_are_drawn_again():
    run = make_run()
    torch.manual_seed(5)
    with replayed(run):
        first = torch.rand(3), torch.rand(3, generator=run.generator)
    again = torch.rand(3), torch.rand(3, generator=run.generator)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(torch.rand(3), again[0])


def test_random_numbers_are_drawn_again_after_an_error():
    run = make_run()
    expected = torch.rand(2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RuntimeError), replayed(run):
        torch.rand(7, generator=run.generator)
        raise RuntimeError
    assert torch.equal(torch.rand(2, generator=run.generator), expected)


def test_two_passes_leave_the_second_gradient_and_return_the_first():
    run = bowl()
    move = torch.tensor([0.5, 0.0, -1.0], dtype=torch.float64)
    both = twice(steep(run), run, lambda weights, gradients: [move[:2], move[2:]])
    loss, first = both(make_batch([0]))
    assert torch.allclose(torch.cat(first), CURVATURE @ START)
    assert torch.allclose(run.model.slope, CURVATURE @ (START + move))
    assert loss.item() == pytest.approx(float(START @ CURVATURE @ START) / 2)
    assert torch.equal(run.model.point, START) and run.model.passes == 1
    assert torch.equal(run.model.frozen, torch.ones(5)) and run.model.frozen.grad is None


def test_the_offset_depends_on_weights_and_gradients_that_there_are():
    run, given = bowl(), []
    both = twice(steep(run), run, lambda weights, gradients: given.append((weights, gradients)) or gradients)
    both(make_batch([0]))
    (weights, gradients), = given
    assert [id(weight) for weight in weights] == [id(run.model.first), id(run.model.second)]
    assert [gradient.shape for gradient in gradients] == [(2,), (1,)]

"""Each function on lists of tensors against the loop that it stands for: where torch renames its own, this says so."""
import torch

from autotricks.functional import tensor_lists

CHANCE = torch.Generator().manual_seed(0)
LEFT, RIGHT = ([torch.randn(shape, generator=CHANCE) for shape in ((3, 2), (4,), ())] for _ in range(2))


def same(found, expected):
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


def test_what_is_returned_is_what_a_loop_returns():
    half = torch.tensor(0.5)
    assert same(tensor_lists.absolute(LEFT), [left.abs() for left in LEFT])
    assert same(tensor_lists.added(LEFT, RIGHT), [left + right for left, right in zip(LEFT, RIGHT, strict=True)])
    assert same(tensor_lists.added(LEFT, 0.5), [left + 0.5 for left in LEFT])
    assert same(tensor_lists.less(LEFT, RIGHT), [left - right for left, right in zip(LEFT, RIGHT, strict=True)])
    assert same(tensor_lists.times(LEFT, RIGHT), [left * right for left, right in zip(LEFT, RIGHT, strict=True)])
    assert same(tensor_lists.times(LEFT, half), [left * 0.5 for left in LEFT])
    assert same(tensor_lists.over(LEFT, RIGHT), [left / right for left, right in zip(LEFT, RIGHT, strict=True)])
    assert same(tensor_lists.over(LEFT, half), [left / 0.5 for left in LEFT])
    for order in (1, 2):
        expected = [left.norm(order) for left in LEFT]
        assert all(map(torch.allclose, tensor_lists.norms(LEFT, order), expected))


def test_what_is_changed_is_changed_in_place():
    for change, expected in ((lambda mine: tensor_lists.add_(mine, RIGHT), lambda left, right: left + right),
                             (lambda mine: tensor_lists.copy_(mine, RIGHT), lambda left, right: right),
                             (lambda mine: tensor_lists.lerp_(mine, RIGHT, 0.25),
                              lambda left, right: left.lerp(right, 0.25))):
        mine = [left.clone() for left in LEFT]
        change(mine)
        assert same(mine, [expected(left, right) for left, right in zip(LEFT, RIGHT, strict=True)])


def test_gradients_go_through_norms():
    weight = torch.tensor([3.0, -4.0], requires_grad=True)
    torch.stack(tensor_lists.norms([weight], 1)).sum().backward()
    assert weight.grad.tolist() == [1, -1]

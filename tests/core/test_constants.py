import pytest
import torch

from autotricks.core.constants import constants


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_they_are_what_new_tensor_returns(dtype):
    like = torch.zeros(2, dtype=dtype)
    assert torch.equal(constants((3, 0, -7), like), like.new_tensor((3, 0, -7)))
    assert constants((3,), like).dtype is dtype


def test_they_can_be_fractions():
    assert constants((0.5, 1 / 3), torch.zeros(())).tolist() == [0.5, pytest.approx(1 / 3)]

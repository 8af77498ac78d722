import pytest
import torch

from autotricks.data.statistics import CHUNK, mean_and_std


def test_by_hand():
    images = torch.tensor([[[[0, 255]], [[51, 51]]], [[[255, 0]], [[51, 51]]]], dtype=torch.uint8)
    mean, std = mean_and_std(images)
    assert mean == pytest.approx((0.5, 0.2))
    assert std == pytest.approx((0.5, 1.0))  # the second channel has one value: nothing to divide by


def test_equals_the_definition_over_more_than_one_chunk():
    images = torch.randint(0, 256, (CHUNK + 37, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    exact = images.double() / 255
    mean, std = mean_and_std(images)
    assert mean == pytest.approx(exact.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert std == pytest.approx(exact.std((0, 2, 3), correction=0).tolist(), rel=1e-12)

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.optimizer.linear_scaling import LinearScaling
from tests.conftest import make_run


def rates(trick, batch_size, *groups):
    def sgd(groups):
        return torch.optim.SGD(groups, lr=0.1)
    run = make_run(batch_size=batch_size)
    return [group["lr"] for group in trick.optimizer(sgd, run)(list(groups)).param_groups]


def weights():
    return [torch.nn.Parameter(torch.zeros(2))]


@pytest.mark.parametrize(("batch_size", "rate"), [(10, 0.1 * 10 / 256), (8, 0.003125)])
def test_rate_is_in_proportion_to_the_batch_size(batch_size, rate):
    assert rates(LinearScaling(), batch_size, {"params": weights()}) == pytest.approx([rate])


def test_at_the_base_nothing_changes_and_groups_keep_their_ratio():
    groups = {"params": weights()}, {"params": weights(), "lr": 0.01}
    assert rates(LinearScaling(base=8), 8, *groups) == pytest.approx([0.1, 0.01])
    assert rates(LinearScaling(base=4), 8, *groups) == pytest.approx([0.2, 0.02])


def test_base_of_zero_is_refused():
    with pytest.raises(BundleError, match=r"linear_scaling\.base: 0 is not allowed"):
        LinearScaling(base=0)

import pytest
import torch

from autotricks.errors import BundleError
from autotricks.tricks.schedule.cosine import Cosine
from tests.conftest import make_run


@pytest.mark.parametrize("final", [0.0, 0.01, 0.5])
def test_equals_torch_step_by_step(final):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40, eta_min=final)
    ours = Cosine(final=final).schedule(lambda progress: 1.0, make_run())
    for step in range(41):
        assert ours(step / 40) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        theirs.step()


def test_multiplies_what_is_inside():
    # A third of the way half a cosine has fallen to (1 + cos 60 degrees) / 2.
    assert Cosine().schedule(lambda progress: 0.2, make_run())(1 / 3) == pytest.approx(0.2 * 0.75)


def test_refuses_to_end_above_its_base():
    with pytest.raises(BundleError, match=r"cosine\.final: 2\.0 is not allowed"):
        Cosine(final=2.0)

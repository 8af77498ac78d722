import torch
from scipy import stats

from autotricks.core.traits import Trait
from autotricks.tricks.sampler.square_root import SquareRoot
from tests.conftest import make_run


def test_draws_classes_by_the_root_of_their_size():
    run = make_run(counts=(6400, 1600, 400, 0))  # roots 80, 40, 20
    rows = SquareRoot().sampler(None, run)(0.0)
    found = torch.bincount(run.targets.single[rows], minlength=4)
    assert len(rows) == 8400 and found[3] == 0
    assert stats.chisquare(found[:3], [4800, 2400, 1200]).pvalue > 1e-3


def test_draws_rows_of_a_class_alike_and_some_twice():
    run = make_run(counts=(900, 100))
    rows = torch.cat([SquareRoot().sampler(None, run)(0.0) for _ in range(40)])
    inside = torch.bincount(rows, minlength=1000)[900:]
    assert stats.chisquare(inside).pvalue > 1e-3
    assert len(rows[:1000].unique()) < 1000
    assert Trait.RESAMPLES in SquareRoot.provides

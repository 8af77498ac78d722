import pytest
import torch
from scipy import stats

from autotricks.functional.sampling import (
    beta,
    class_probabilities,
    filled_order,
    filled_positions,
    rows_by_class,
    shuffled_by_class,
    spans,
)

C10_LT_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)  # CIFAR-10-LT, imbalance factor 100


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_beta_has_mean_one_half_and_its_variance(alpha):
    count = 100_000
    drawn = beta(alpha, alpha, count, generator())
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(float(drawn.mean()) - 0.5) < 4 * (variance / count) ** 0.5
    assert float(drawn.var()) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize(("alpha", "second"), [(0.1, 0.1), (1.0, 1.0), (0.7, 2.5)])
def test_beta_follows_its_law(alpha, second):
    drawn = beta(alpha, second, 20_000, generator(1)).double()
    drawn = drawn.clamp(1e-12, 1 - 2**-25)  # float32 cannot come nearer to 1
    assert stats.kstest(drawn.numpy(), stats.beta(alpha, second).cdf).statistic < 1.95 / 20_000**0.5 + (
        stats.beta(alpha, second).sf(1 - 2**-24))


def test_beta_of_a_tiny_concentration_is_all_or_nothing():
    drawn = beta(0.01, 0.01, 2000, generator())
    assert bool(((drawn >= 0) & (drawn <= 1)).all())
    assert float(((drawn < 1e-3) | (drawn > 1 - 1e-3)).float().mean()) > 0.9
    assert 0.45 < float(drawn.mean()) < 0.55


def test_class_probabilities_of_cifar10_lt():
    expected = torch.tensor([.2447, .1895, .1467, .1136, .0879, .0681, .0527, .0408, .0315, .0245])
    assert torch.allclose(class_probabilities(torch.tensor(C10_LT_100), 0.5), expected, atol=5e-5)


def test_class_probabilities_at_the_ends():
    counts = torch.tensor([6., 3., 1., 0.])
    assert class_probabilities(counts, 1.0).tolist() == pytest.approx([0.6, 0.3, 0.1, 0])
    assert class_probabilities(counts, 0.0).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])  # 0^0 is not 1 here


def test_rows_by_class_draws_classes_by_probability_and_rows_uniformly():
    labels = torch.tensor([2, 0, 1, 0, 0, 1, 3, 0])  # unsorted: class 0 has rows 1, 3, 4, 7
    counts, probabilities = torch.bincount(labels, minlength=5), torch.tensor([0.2, 0.5, 0.3, 0.0, 0.0])
    drawn = rows_by_class(labels, counts, probabilities, 50_000, generator())
    of_class = torch.bincount(labels[drawn], minlength=5)
    assert of_class[3:].tolist() == [0, 0]
    assert stats.chisquare(of_class[:3], [10_000, 25_000, 15_000]).pvalue > 1e-3
    for label in (0, 1):
        inside = torch.bincount(drawn, minlength=8)[labels == label]
        assert stats.chisquare(inside).pvalue > 1e-3


def test_rows_by_class_depends_on_its_generator_alone():
    labels, counts = torch.tensor([0, 0, 1]), torch.tensor([2., 1.])
    def draw(seed):
        return rows_by_class(labels, counts, torch.tensor([0.5, 0.5]), 64, generator(seed)).tolist()
    before = torch.get_rng_state()
    assert draw(0) == draw(0) != draw(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_by_class_refuses_negative_probabilities():
    with pytest.raises(RuntimeError, match="probability"):
        rows_by_class(torch.tensor([0, 1]), torch.tensor([1, 1]), torch.tensor([1.5, -0.5]), 4, generator())


def test_spans_are_clipped():
    centers = torch.tensor([0, 2, 4])
    assert spans(centers, 2, 5).int().tolist() == [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    assert spans(centers, 3, 5).int().tolist() == [[1, 1, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert spans(centers, torch.tensor([0, 1, 5]), 5).sum(1).tolist() == [0, 1, 3]


def test_shuffled_inside_each_class():
    labels = torch.tensor([2, 0, 2, 1, 0, 2])
    drawn = torch.stack([shuffled_by_class(labels, generator(seed)) for seed in range(1200)])
    assert torch.equal(labels[drawn], torch.tensor([0, 0, 1, 2, 2, 2]).expand(1200, 6))
    firsts = torch.bincount(drawn[:, 3], minlength=6)[[0, 2, 5]]
    assert int(firsts.sum()) == 1200 and stats.chisquare(firsts).pvalue > 1e-3
    assert drawn[0].sort().values.tolist() == list(range(6))


@pytest.mark.parametrize(("counts", "least", "expected"), [
    # classes begin at places 0, 3, 4 and 4
    ([3., 1., 0., 2.], 3, [0, 1, 2, 3, 3, 3, 4, 5, 4]),
    # classes begin at places 0, 6, 7 and 7
    ([6., 1., 0., 2.], 3, [0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 7]),
    ([2., 1.], 0, [0, 1, 2])])
def test_filled_positions_by_hand(counts, least, expected):
    assert filled_positions(torch.tensor(counts), least).tolist() == expected


def test_a_filled_order_holds_each_place_in_random_order():
    labels = torch.tensor([1, 0, 1, 0, 0])
    places = torch.tensor([0, 1, 2, 3, 3, 4])
    drawn = torch.stack([filled_order(labels, places, generator(seed)) for seed in range(900)])
    often = torch.stack([torch.bincount(rows, minlength=5) for rows in drawn])
    assert (often[:, [1, 3, 4]] == 1).all() and (often[:, [0, 2]].sort(1).values == torch.tensor([1, 2])).all()
    assert stats.chisquare(often[:, [0, 2]].sum(0)).pvalue > 1e-3
    assert stats.chisquare(torch.bincount(labels[drawn[:, 0]])).pvalue > 1e-3
